/**
 * All ways by which upgrades come to a board: attached servers, `handleUpgrade`, and ports of its own. `Switchboard`
 * has one.
 */
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo, Server as NetServer } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { UpgradeCounters, UpgradeCounts } from "../../../runtime/stats/upgrade-counters.ts";
import { claimDescriptor } from "../../../wire/native/estate/settlement.ts";
import { serverOf } from "../../../wire/node-internals/http.ts";
import { bringToRest, closePassed, keepHandle } from "../../../wire/passing/passed-sockets.ts";
import type { BareSocket } from "../../../wire/transport/transport.ts";
import { Acceptor } from "../../accept/acceptor.ts";
import type { AcceptorOwner } from "../../accept/acceptor-owner.ts";
import { AdmissionControl } from "../../accept/admission-control.ts";
import { ClientAddresses } from "../../accept/client-address.ts";
import { HeldUpgrades, type UpgradePhase } from "../../accept/held-upgrades.ts";
import { type LateUpgrade, takeUnanswered } from "../../accept/late-upgrade.ts";
import type { OpeningHandshake } from "../../accept/opening-handshake.ts";
import type { AnyHttp2Server } from "../../accept/routes/http2-route.ts";
import type { RouteSettings } from "../../accept/routes/route.ts";
import { UpgradeRoutes } from "../../accept/routes/upgrade-routes.ts";
import type { LateSocket } from "../../accept/sockets/socket-acceptor-owner.ts";
import type { TlsOptions } from "../../accept/tls-settings.ts";
import type { BoardLife } from "../board-life.ts";
import {
  type AttachOptions,
  checkAttachOptions,
  checkListenOptions,
  checkServerListenOptions,
  type ListenOptions,
  type ServerListenOptions,
} from "../options/listen-options.ts";
import type { Settings } from "../options/start-options.ts";
import type { ShardPool } from "../pool/shard-pool.ts";
import { DescriptorWatch } from "./descriptor-watch.ts";
import { ListeningSockets, ownedSocketAt } from "./listening-sockets.ts";
import { MainListeners } from "./main-listeners.ts";
import { ShardListeners } from "./shard-listeners.ts";

export interface UpgradeIntakeOwner {
  /** True if sockets are moved to the shards. */
  readonly moves: boolean;
  readonly life: BoardLife;
  /** Returns the shards; called only once they have started. */
  pool(): ShardPool;
  /** Returns the beginning of all addresses of this node: `<node>.`, or "". */
  addressPrefix(): string;
  /** Returns true if another process has taken over, which gets what is passed on. */
  hasHandedOver(): boolean;
  /** Passes a socket on to the process that has taken over. The socket belongs to this function. */
  passOn(late: LateUpgrade): void;
  handshakeFailed(error: Error): void;
  acceptFailed(error: Error): void;
}

/** Longest time, in milliseconds, that `close` waits for sockets on their way to shards. */
const MAX_ARRIVAL_MS = 1_000;
/** Fraction of the time of `close` for these sockets at most: one in this many. */
const ARRIVAL_PART = 5;

export class UpgradeIntake {
  /** The listening sockets, for a takeover. */
  readonly sockets: ListeningSockets;
  readonly #life: BoardLife;
  readonly #acceptor: Acceptor;
  readonly #held = new HeldUpgrades();
  readonly #owner: Pick<UpgradeIntakeOwner, "hasHandedOver" | "passOn" | "handshakeFailed">;
  /** Set if the options have limits of admission. */
  readonly #admission: AdmissionControl | undefined;
  readonly #routes: UpgradeRoutes;
  readonly #mainPorts: MainListeners;
  readonly #shardPorts: ShardListeners;
  readonly #descriptors: DescriptorWatch;
  /** Names of the actor modules besides the default one. */
  readonly #actors: readonly string[];
  readonly #checkUpgradeOptions = (options: AttachOptions): RouteSettings =>
    checkAttachOptions(options, this.#actors, "handleUpgrade");

  /** @param actors names of the actor modules besides the default one */
  constructor(settings: Settings, actors: readonly string[], owner: UpgradeIntakeOwner) {
    const { connection, limits } = settings;
    const { moves, life, pool, addressPrefix, handshakeFailed, acceptFailed } = owner;
    this.#actors = actors;
    this.#life = life;
    this.#owner = owner;
    this.#descriptors = new DescriptorWatch(acceptFailed);
    const admission = AdmissionControl.isNeeded(limits) ? new AdmissionControl(limits, pool) : undefined;
    this.#admission = admission;
    const { trustedProxies = [] } = limits;
    // Ids must differ from those of the processes before and after this one, and from those of the shards.
    const series = settings.takeover === undefined ? "" : `${Date.now().toString(36)}m-`;
    const acceptorOwner: AcceptorOwner = {
      isRemote: true,
      clients: trustedProxies.length === 0 ? undefined : new ClientAddresses(trustedProxies),
      admit: admission && ((request) => admission.admit(request)),
      place: (request, params, actor) => pool().place({ request, params, actor }),
      passOn: (handshake) => this.#passOn(handshake),
      handshakeFailed,
      acceptFailed,
    };
    const { compression } = connection;
    this.#acceptor = new Acceptor(acceptorOwner, { addressPrefix, series, compression, held: this.#held });
    this.#routes = new UpgradeRoutes(this.#acceptor, (actor) => pool().authorizes(actor));
    const sockets = new ListeningSockets(settings.takeover !== undefined);
    this.sockets = sockets;
    this.#mainPorts = new MainListeners({ acceptor: this.#acceptor, routes: this.#routes, acceptFailed, sockets });
    const counters = this.#acceptor.counters;
    const { closing } = life;
    this.#shardPorts = new ShardListeners(settings, {
      moves,
      counters,
      admission,
      pool,
      closing,
      sockets,
      handshakeFailed,
      acceptFailed,
    });
  }

  /** The shards have started: upgrades may come. */
  start(): void {
    this.#descriptors.start();
  }

  attach(server: Server | AnyHttp2Server, options: AttachOptions): void {
    const settings = checkAttachOptions(options, this.#actors);
    this.#life.checkOpen();
    this.#routes.addRoute(server, settings);
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, options: AttachOptions): void {
    this.#routes.handleUpgrade(request, socket, head, options, this.#checkUpgradeOptions);
  }

  /** Opens a port, with the handshake in the shards where nothing needs the main thread. */
  async listen(options: ListenOptions): Promise<AddressInfo> {
    const settings = checkListenOptions(options, this.#actors);
    const { handshake, shard } = settings;
    this.#life.checkOpen();
    const { closing } = this.#life;
    const signal = settings.signal === undefined ? closing : AbortSignal.any([closing, settings.signal]);
    if (shard === undefined || (handshake === "any" && !this.#shardPorts.suitAny))
      return this.#mainPorts.listen(settings, signal);
    return this.#shardPorts.listen(settings, shard, signal);
  }

  /** Lets a server of the user listen. */
  async listenWith(server: NetServer, options: ServerListenOptions): Promise<AddressInfo | string> {
    const { signal, ...asked } = checkServerListenOptions(options);
    this.#life.checkOpen();
    const { closing } = this.#life;
    return this.sockets.open(server, asked, signal === undefined ? closing : AbortSignal.any([closing, signal]));
  }

  updateTls(port: number, tls: TlsOptions): void {
    this.#life.checkOpen();
    this.#shardPorts.updateTls(port, tls);
  }

  /** Gives a new thread of a shard its part of all ports. */
  reopen(shard: number): Promise<unknown> {
    return this.#shardPorts.reopen(shard);
  }

  /** A shard isn't started again. */
  shardFailed(shard: number): void {
    this.#shardPorts.shardFailed(shard);
  }

  /** A connection or a handshake of a client has ended, if clients are counted. */
  clientLeft(clientKey: string): void {
    this.#admission?.clientLeft(clientKey);
  }

  /** A connection of a client has come from another process. */
  clientArrived(clientKey: string): void {
    this.#admission?.clientArrived(clientKey);
  }

  /**
   * Lets upgrades of the main thread wait that come from now on, for another process that takes over. Resolves when no
   * other handshake is under way, or after `limitMs`.
   */
  async hold(limitMs: number): Promise<void> {
    this.#held.hold();
    await this.#acceptor.quiet(limitMs);
  }

  /** The takeover is over: upgrades are accepted here, or passed on from now on, as sockets without a request are. */
  release(phase: Exclude<UpgradePhase, "held">): void {
    this.#held.release(phase);
    if (phase === "open") return;
    this.sockets.passIdleOn(({ handle, bytes }, listener) => {
      this.#owner.passOn({ descriptor: bringToRest(handle), listener, bytes });
    });
  }

  /** Passes an upgrade on to the process that has taken over. Returns false, and changes nothing, if that can't be. */
  #passOn(handshake: OpeningHandshake): boolean {
    const server = serverOf(handshake.socket);
    const listener = server && this.sockets.nameOf(server);
    const taken = listener === undefined ? undefined : takeUnanswered(handshake);
    if (listener === undefined || taken === undefined) return false;
    this.#owner.passOn({ descriptor: bringToRest(taken.handle), listener, bytes: taken.bytes });
    return true;
  }

  /**
   * A shard has given up a socket: for the process that has taken over, or for the next thread of the shard. The socket
   * belongs to this function.
   *
   * @param estate list of what the shard owns past Node; undefined without io_uring
   */
  lateUpgrade(late: LateSocket, estate: SharedArrayBuffer | undefined): void {
    const descriptor = numberOf(late.socket, estate);
    if (descriptor === undefined) return;
    if (this.#owner.hasHandedOver()) this.#passOnFrom(late, descriptor);
    else this.#placeAgain(late, descriptor);
  }

  #passOnFrom({ listenerId, bytes }: LateSocket, descriptor: number): void {
    const listener = this.#shardPorts.nameOf(listenerId);
    if (listener === undefined) closePassed(descriptor);
    else this.#owner.passOn({ descriptor, listener, bytes });
  }

  #placeAgain({ listenerId, bytes }: LateSocket, descriptor: number): void {
    try {
      const socket = ownedSocketAt(descriptor);
      if (bytes.length > 0) socket.unshift(bytes);
      this.#shardPorts.adopt(socket, listenerId);
    } catch (error) {
      this.#owner.handshakeFailed(error as Error);
    }
  }

  /** Counters of upgrades in the main thread. */
  get counters(): UpgradeCounters {
    return this.#acceptor.counters;
  }

  /** Outcomes of upgrades in the main thread. */
  upgrades(): UpgradeCounts {
    return this.#acceptor.counters.snapshot();
  }

  /**
   * Closes the ports, and turns further upgrades away. Resolves when sockets that are on their way to shards have
   * arrived, or their time is over.
   *
   * @param timeoutMs milliseconds that the board has to close, of which the sockets have a part
   */
  async close(timeoutMs: number): Promise<void> {
    this.#descriptors.stop();
    this.#shardPorts.close();
    this.#mainPorts.close();
    this.sockets.close();
    // Sockets that are on their way may arrive, unless their shard doesn't take them.
    const arrivalMs = Math.min(timeoutMs / ARRIVAL_PART, MAX_ARRIVAL_MS);
    await Promise.race([this.#acceptor.close(), delay(arrivalMs, undefined, { ref: false })]);
  }

  /** Ends what is left once the shards have ended. */
  end(): void {
    this.#routes.removeRoutes();
    this.#mainPorts.closeAllConnections();
  }
}

/** Returns the number of a socket that a shard has given up; undefined if the socket was closed with its thread. */
function numberOf(socket: BareSocket, estate: SharedArrayBuffer | undefined): number | undefined {
  if ("handle" in socket) return keepHandle(socket.handle);
  const { descriptor } = socket;
  return estate === undefined || claimDescriptor(estate, descriptor) ? descriptor : undefined;
}
