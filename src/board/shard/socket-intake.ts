/**
 * All ways by which sockets come into a shard: handed off or relayed by the main thread after the handshake, unread, or
 * accepted by the shard's own servers. Each ends in an adopted transport. `Shard` has one.
 */
import type { Duplex } from "node:stream";
import { reportError } from "../../errors.ts";
import type { FairScheduler } from "../../runtime/scheduling/fair-scheduler.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import { receiveHandoffs, receiveRawSockets } from "../../wire/transport/handoff.ts";
import { localHandoff } from "../../wire/transport/local-handoff.ts";
import type { HandoffResult } from "../../wire/transport/pending-handoffs.ts";
import { type RelayReceiver, receiveRelayed } from "../../wire/transport/relay/relay.ts";
import { nodeSockets, type TcpSockets } from "../../wire/transport/tcp-sockets.ts";
import type { HandshakeTransport, Transport } from "../../wire/transport/transport.ts";
import { UringSockets } from "../../wire/transport/uring/uring-sockets.ts";
import { Acceptor } from "../accept/acceptor.ts";
import type { Destination } from "../accept/acceptor-owner.ts";
import { ClientAddresses } from "../accept/client-address.ts";
import type { ClosedSocketReporter } from "../accept/closed-socket-reporter.ts";
import { HeldUpgrades } from "../accept/held-upgrades.ts";
import { takeUnanswered } from "../accept/late-upgrade.ts";
import type { OpeningHandshake } from "../accept/opening-handshake.ts";
import { type GivenServer, SocketAcceptor } from "../accept/sockets/socket-acceptor.ts";
import type { LateSocket } from "../accept/sockets/socket-acceptor-owner.ts";
import type { ActorName, HandoffEnvelope } from "../connection/connection-host.ts";
import type { ActorModule } from "./actor-module.ts";
import type { EventReporter } from "./event-reporter.ts";
import type { RawSocketEnvelope, ShardPortNotice, ShardTask } from "./messages.ts";
import { WARM_UP_LISTENER, WARM_UP_SETTINGS } from "./warm-up.ts";

export interface SocketIntakeOwner {
  readonly task: ShardTask;
  readonly counters: Counters;
  readonly turns: FairScheduler;
  readonly closedSockets: ClosedSocketReporter;
  readonly events: EventReporter;
  /** Returns a loaded actor module; undefined before the modules are loaded. */
  moduleOf(actor: ActorName): ActorModule | undefined;
  /** Makes a connection of a transport whose handshake is checked. */
  adopt(transport: Transport, envelope: HandoffEnvelope): void;
  /** Passes a socket without an answer on to the process or the thread that has taken over. */
  passOn(late: LateSocket): void;
}

export class SocketIntake {
  readonly #owner: SocketIntakeOwner;
  /** Acceptor for the shard's own handshakes. */
  readonly #acceptor: Acceptor;
  readonly #held = new HeldUpgrades();
  /** Undefined until the shard takes sockets. */
  #sockets: SocketAcceptor | undefined;
  /** Undefined until the shard takes sockets. */
  #relay: RelayReceiver | undefined;
  /** Undefined if this shard uses Node's sockets. */
  #uring: UringSockets | undefined;
  /** Timer for the requests that have no answer at the end of a shutdown. */
  #cutOff: NodeJS.Timeout | undefined;

  constructor(owner: SocketIntakeOwner) {
    this.#owner = owner;
    this.#acceptor = this.#createAcceptor();
  }

  #createAcceptor(): Acceptor {
    const { shard, trustedProxies, addressPrefix, options } = this.#owner.task;
    const handOff = (socket: Duplex, head: Buffer, envelope: HandoffEnvelope): Promise<HandoffResult> => {
      const take = (transport: Transport): void => {
        const adopt = (clientKey: string | undefined): void => this.#owner.adopt(transport, { ...envelope, clientKey });
        if (this.#sockets === undefined) adopt(undefined);
        else this.#sockets.http.handOver(socket, adopt);
      };
      return localHandoff(socket, head, take, this.tcpSockets);
    };
    const here: Destination = {
      shard,
      handOff,
      requestHeadersOf: (actor) => this.#owner.moduleOf(actor)?.requestHeaders ?? [],
    };
    const owner = {
      isRemote: false,
      place: () => here,
      here,
      clients: trustedProxies.length === 0 ? undefined : new ClientAddresses(trustedProxies),
      passOn: (handshake: OpeningHandshake) => this.#passOn(handshake),
      handshakeFailed: (error: Error) => this.#handshakeFailed(error),
      acceptFailed: (error: Error) => this.#acceptFailed(error),
    };
    // Ids must differ from those of the main thread, and from those of this shard's earlier threads.
    const series = `${Date.now().toString(36)}-`;
    return new Acceptor(owner, {
      counters: this.#owner.counters.upgrades,
      addressPrefix: () => addressPrefix,
      series,
      compression: options.compression,
      held: this.#held,
    });
  }

  #passOn(handshake: OpeningHandshake): boolean {
    const listenerId = this.#sockets?.http.listenerOf(handshake.socket);
    const taken = listenerId === undefined ? undefined : takeUnanswered(handshake);
    if (listenerId === undefined || taken === undefined) return false;
    this.#sockets?.http.passedOn(handshake.socket);
    this.#owner.passOn({ listenerId, socket: { handle: taken.handle }, bytes: taken.bytes });
    return true;
  }

  #createSocketAcceptor(): SocketAcceptor {
    const { closedSockets, turns, counters } = this.#owner;
    return new SocketAcceptor({
      acceptor: this.#acceptor,
      held: this.#held,
      closedSockets,
      turns,
      counters,
      sockets: this.tcpSockets,
      authorizeOf: (actor) => this.#owner.moduleOf(actor)?.authorize,
      adopt: (transport, envelope) => this.#owner.adopt(transport, envelope),
      passOn: (late) => this.#owner.passOn(late),
      acceptFailed: (error) => this.#acceptFailed(error),
    });
  }

  /** The sockets of this shard. */
  get tcpSockets(): TcpSockets {
    return this.#uring ?? nodeSockets;
  }

  #handshakeFailed(error: Error): void {
    this.#owner.events.report("handshakeFailed", { error: reportError(error) });
  }

  #acceptFailed(error: Error): void {
    this.#owner.counters.add("acceptsFailed");
    this.#owner.events.report("acceptFailed", { error: reportError(error) });
  }

  /** Opens the ring, if the shard reads and writes its sockets through io_uring. Call it before `open`. */
  openRing(): void {
    const { uringEstate } = this.#owner.task;
    this.#uring = uringEstate && new UringSockets(uringEstate);
  }

  /** Lets connections that exist only in memory come in, each by its transport. For an intake that is never opened. */
  acceptInMemory(): (transport: HandshakeTransport) => void {
    const sockets = this.#createSocketAcceptor();
    this.#sockets = sockets;
    sockets.configure(WARM_UP_LISTENER, WARM_UP_SETTINGS);
    return (transport) => sockets.acceptTransport(transport, WARM_UP_LISTENER);
  }

  /** Takes sockets from now on. */
  open(): void {
    const { task, turns } = this.#owner;
    const adopt = (transport: Transport, envelope: HandoffEnvelope): void => this.#owner.adopt(transport, envelope);
    // Adopting is background work: a storm of new connections doesn't delay the established ones.
    const pace = turns.runInBackground;
    receiveHandoffs(task.handoff, adopt, pace, this.tcpSockets);
    this.#relay = receiveRelayed(task.relay, adopt, pace);
    const sockets = this.#createSocketAcceptor();
    this.#sockets = sockets;
    receiveRawSockets<RawSocketEnvelope, ShardPortNotice>(
      task.rawSockets,
      {
        settingsReceived: ({ listenerId, settings }) => sockets.configure(listenerId, settings),
        adoptServer: (server, { listenerId }) => sockets.listen(server, listenerId),
        adopt: (socket, { listenerId, clientKey }, head) => sockets.accept(socket, listenerId, clientKey, head),
      },
      pace,
    );
  }

  /** Streams that the main thread relays. Throws before the shard takes sockets: until then none moves. */
  get relay(): RelayReceiver {
    if (this.#relay === undefined) throw new Error("the shard takes no sockets yet");
    return this.#relay;
  }

  /** Accepts the connections of a server from another thread of this shard. */
  takeOver(given: GivenServer): void {
    this.#sockets?.takeOver(given);
  }

  /** Gives away the listening servers, for another thread of this shard. */
  takeServers(): readonly GivenServer[] {
    return this.#sockets?.takeServers() ?? [];
  }

  /**
   * Closes the listening servers, for another process that takes over. Handshakes under way go on, for at most
   * `limitMs`; upgrades that come from now on wait for `releaseUpgrades`.
   */
  async stopAccepting(limitMs: number): Promise<void> {
    this.#held.hold();
    this.#sockets?.stopListening();
    await this.#acceptor.quiet(limitMs);
  }

  /** The takeover is over: upgrades are accepted here, or passed on from now on. */
  releaseUpgrades(phase: "open" | "passing"): void {
    this.#held.release(phase);
  }

  /** Another thread takes the place of this one: requests, and sockets without one, are passed on from now on. */
  retire(): void {
    this.#held.release("retired");
  }

  /**
   * Begins the shutdown: stops listening. Resolves when requests under way have their answers.
   *
   * @param timeoutMs milliseconds after which requests without an answer are cut off
   */
  async stopListening(timeoutMs: number): Promise<void> {
    this.#sockets?.stopListening();
    this.#cutOff = setTimeout(() => this.#sockets?.close(), timeoutMs);
    // A half request is passed on when its rest has come.
    const passed = this.#held.phase === "passing" ? this.#sockets?.http.answered() : undefined;
    await Promise.all([this.#acceptor.close(), passed]);
  }

  /** Takes nothing from now on, and ends what isn't adopted. */
  close(): void {
    clearTimeout(this.#cutOff);
    const { handoff, relay, rawSockets } = this.#owner.task;
    handoff.port.close();
    relay.port.close();
    rawSockets.port.close();
    this.#sockets?.close();
    this.#uring?.close();
  }
}
