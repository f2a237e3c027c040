/**
 * Moves the connections of one shard to other shards, and takes those that come. `Shard` has one. The README has the
 * steps and the failures.
 */
import { closeSync, openSync } from "node:fs";
import type { Server } from "node:net";
import { devNull } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { deserialize, serialize } from "node:v8";
import { reportError, SwitchboardError } from "../../../errors.ts";
import type { Address } from "../../../runtime/actor/address.ts";
import type { AskedBy } from "../../../runtime/actor/mail.ts";
import { checkWaiting, type WaitingState } from "../../../runtime/actor/moving/cell-state.ts";
import type { StayReason, Suspended } from "../../../runtime/actor/moving/suspension.ts";
import type { Departure, Ticket } from "../../../runtime/bus/moving/move.ts";
import type { MailRouter } from "../../../runtime/mail/mail-router.ts";
import type { LeavingActors } from "../../../runtime/mail/travelling-actors.ts";
import { transferable } from "../../../wire/node-internals/net.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import type { RelayReceiver } from "../../../wire/transport/relay/relay.ts";
import type { TcpSockets, ThreadWay } from "../../../wire/transport/tcp-sockets.ts";
import type { Detached, DetachedSocket, DetachedStream, Transport } from "../../../wire/transport/transport.ts";
import { Connection } from "../../connection/connection.ts";
import type { ActorName, ConnectionHost } from "../../connection/connection-host.ts";
import type { ConnectionState } from "../../connection/connection-state.ts";
import type { TopicsLeaver } from "../../connection/subscriptions.ts";
import type { ActorModule } from "../actor-module.ts";
import type { ConnectionRegistry } from "../connection-registry.ts";
import { Departures } from "./departures.ts";
import type {
  ConnectionMessage,
  ListeningServerMessage,
  MoveCounts,
  MoveQuery,
  MovesReport,
  RelayedConnectionMessage,
  ResumptionsMessage,
} from "./messages.ts";
import { checkCloneable, moveFailed, notCloneable } from "./move-failures.ts";
import { MoveReports } from "./move-reports.ts";
import { MoveTally } from "./move-tally.ts";
import { type ResumptionEnded, Resumptions } from "./resumptions.ts";

export interface MoverOwner {
  /** Number of this thread. */
  readonly life: number;
  readonly host: ConnectionHost;
  readonly connections: ConnectionRegistry;
  readonly sockets: TcpSockets;
  /** True while the shard closes its connections: none moves. */
  readonly isClosing: boolean;
  moduleOf(actor: ActorName): ActorModule | undefined;
  /** Begins to move subscriptions to another thread. */
  leaveFor<L extends TopicsLeaver>(life: number, leavers: readonly L[]): Departure<L>;
  /** Resolves when all threads know the topics that are wanted here now. */
  topicsKnown(): Promise<void>;
  readonly mail: Pick<MailRouter, "leaveFor">;
  /** Streams that the main thread relays. */
  readonly relay: RelayReceiver;
  /** A connection has left. Returns the key of its client, if clients are counted. */
  departed(connection: Connection): string | undefined;
  /** A connection has come, and is about to be resumed. */
  arrived(connection: Connection, clientKey: string | undefined, openedAt: number): void;
  /** A connection that has come is open. */
  resumed(connection: Connection): void;
  /** A listening server has come from another thread of this shard. */
  serverArrived(server: Server, listenerId: number): void;
  report(report: MovesReport): void;
}

/**
 * Number of connections of a shard that are suspended, or about to be, at the same time. As many leave in one turn, and
 * arrive in one, which takes about 2 ms on either side.
 */
const MAX_TOGETHER = 32;

const POLL_MS = 10;
/** Time that the main thread has to keep what it has for relayed connections, in ms. After it they stay. */
const HOLD_LIMIT_MS = 5_000;

/** Reasons that are no failure of a move. */
const SILENT: ReadonlySet<StayReason> = new Set(["closing", "actor", "transport"]);

/** What became of a move. An error: something can't be cloned. */
type Outcome = "moved" | StayReason | SwitchboardError;

/** A suspended connection. */
interface Leaving {
  readonly connection: Connection;
  /** What `suspended` returned, as bytes. */
  readonly state: Uint8Array;
  readonly done: (outcome: Outcome) => void;
  /** Called after `done` if the connection has left. */
  readonly resumed: ResumptionEnded;
}

/** Everything that travels with a connection beside its state. */
export type Luggage = Omit<ConnectionMessage, "kind" | "state" | "socket">;

export class Mover {
  readonly #owner: MoverOwner;
  readonly #reports: MoveReports;
  /** The ways to the other shards, by the life of their thread. */
  readonly #ways = new Map<number, ThreadWay>();
  readonly #resumptions = new Resumptions((life) => this.#ways.get(life)?.port);
  /** Connections that came by a move, with the number of their moves. */
  readonly #hops = new Map<object, number>();
  /** Life of the thread that takes the place of this one. */
  #successor: number | undefined;
  /** Suspended connections, which leave together at the end of the tick. */
  readonly #departures = new Departures<Leaving>((life, leaving) => void this.#departAll(life, leaving));
  /** Number of connections that are being suspended, and moves that wait for their turn, the oldest first. */
  #suspending = 0;
  readonly #waiting: (() => void)[] = [];
  /** Connections that are being suspended, or wait for it. */
  readonly #leaving = new Set<Connection>();

  constructor(owner: MoverOwner) {
    this.#owner = owner;
    this.#reports = new MoveReports((report) => owner.report(report));
  }

  /** Connects the shard to another one, over the port that the bus and the mail use as well. */
  addLink(way: ThreadWay, life: number): void {
    this.#ways.set(life, way);
    const { port } = way;
    port.on("message", (message: { readonly kind: string }) => {
      if (message.kind === "connection" || message.kind === "relayedConnection") {
        this.#arrive(message as ConnectionMessage | RelayedConnectionMessage, life);
      } else if (message.kind === "listeningServer") {
        const { server, listenerId } = message as ListeningServerMessage;
        this.#owner.serverArrived(server, listenerId);
      } else if (message.kind === "resumptions") {
        this.#resumptions.told(message as ResumptionsMessage);
      }
    });
    port.on("close", () => {
      this.#ways.delete(life);
      this.#resumptions.lifeEnded(life);
    });
  }

  /** Another thread takes the place of this one: connections that open from now on go there at once. */
  retire(to: number, servers: readonly (readonly [server: Server, listenerId: number])[]): void {
    this.#successor = to;
    const port = this.#ways.get(to)?.port;
    for (const [server, listenerId] of servers) {
      const message: ListeningServerMessage = { kind: "listeningServer", server, listenerId };
      if (port === undefined) server.close();
      else port.postMessage(message, [transferable(server)]);
    }
  }

  /** A connection has opened in this shard. */
  opened({ address }: Connection): void {
    if (this.#successor === undefined) return;
    void this.move({ kind: "move", to: [this.#successor], addresses: [address], count: 1, limitMs: 5_000 });
  }

  /** Tells the main thread at once what it hasn't heard. */
  flushReports(): void {
    this.#reports.flush();
  }

  /** True while a connection is being moved to another shard. */
  isLeaving(connection: Connection): boolean {
    return this.#leaving.has(connection);
  }

  /** A connection leaves for another process. Returns the number of its moves. */
  takeHops(connection: Connection): number {
    const hops = this.#hops.get(connection) ?? 0;
    this.#hops.delete(connection);
    return hops;
  }

  /** A connection of this shard has closed. */
  closed(connection: { readonly address: Address }): void {
    const hops = this.#hops.get(connection);
    if (hops === undefined) return;
    this.#hops.delete(connection);
    this.#reports.closed({ address: connection.address, hops });
  }

  /** Moves connections, many at a time. Resolves when each goes on in its new thread, stays, or is lost. */
  async move({ to, addresses, count, limitMs }: MoveQuery): Promise<MoveCounts> {
    const { connections } = this.#owner;
    const tally = new MoveTally();
    let begun = 0;
    /** Connections that may still begin to move. */
    let room = count;
    const all = addresses === undefined ? connections[Symbol.iterator]() : this.#find(addresses);
    const moveOneByOne = async (): Promise<void> => {
      while (room > 0) {
        const { done, value: connection } = all.next();
        if (done === true) return;
        room--;
        const life = to[begun++ % to.length] as number;
        const outcome = connection === undefined ? "gone" : await this.#move(connection, life, limitMs, tally);
        if (outcome === "moved") continue;
        room++;
        tally.stayed(outcome);
      }
    };
    const together = Math.min(MAX_TOGETHER, count, addresses?.length ?? connections.size);
    await Promise.all(Array.from({ length: together }, moveOneByOne));
    await tally.allResumed(limitMs);
    return tally.counts;
  }

  *#find(addresses: readonly Address[]): Generator<Connection | undefined, undefined> {
    for (const address of addresses) yield this.#owner.connections.get(address);
    return undefined;
  }

  async #move(connection: Connection, life: number, limitMs: number, tally: MoveTally): Promise<"moved" | StayReason> {
    if (life === this.#owner.life) {
      tally.moved();
      return "moved";
    }
    const version = this.#owner.moduleOf(connection.actor)?.moves;
    if (version === undefined) return "actor";
    if (this.#leaving.has(connection) || connection.isSuspended) return "busy";
    this.#leaving.add(connection);
    // Each `board.move` is an order of its own, and thousands may come in one turn.
    while (this.#suspending >= MAX_TOGETHER) await this.#slot();
    this.#suspending++;
    const outcome = await this.#leave(connection, life, version, performance.now() + limitMs, tally.resumed);
    this.#suspending--;
    this.#waiting.shift()?.();
    this.#leaving.delete(connection);
    if (outcome === "moved") {
      tally.left();
      return outcome;
    }
    const isSilent = typeof outcome === "string" && SILENT.has(outcome);
    if (!isSilent) this.#failed(connection, outcome);
    return typeof outcome === "string" ? outcome : "state";
  }

  /** Resolves when one of those that are being suspended has gone, or stays. */
  #slot(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async #leave(
    connection: Connection,
    life: number,
    version: number,
    deadline: number,
    resumed: ResumptionEnded,
  ): Promise<Outcome> {
    const bytes = await this.suspend(connection, version, deadline, () => this.#stayReason(connection, life));
    if (!(bytes instanceof Uint8Array)) return bytes;
    return new Promise((done) => this.#departures.add(life, { connection, state: bytes, done, resumed }));
  }

  /** Suspends the actor of a connection. Resolves with its state, or with the reason why the connection goes on. */
  async suspend(
    connection: Connection,
    version: number,
    deadline: number,
    stayReason: () => StayReason | undefined,
  ): Promise<Uint8Array | StayReason | SwitchboardError> {
    await connection.hasArrived;
    for (let reason = stayReason(); reason !== undefined; ) {
      if (reason !== "busy" || performance.now() > deadline) return reason;
      await delay(POLL_MS);
      reason = stayReason();
    }
    const suspension = Promise.withResolvers<Suspended | StayReason>();
    connection.suspend(Math.max(1, deadline - performance.now()), version, suspension.resolve);
    const suspended = await suspension.promise;
    if (typeof suspended === "string") return suspended;
    const { bytes } = suspended;
    const uncloneable = bytes instanceof SwitchboardError ? bytes : checkCloneable(connection);
    const reason = uncloneable ?? stayReason();
    if (reason === undefined && !(bytes instanceof SwitchboardError)) return bytes;
    if (connection.isSuspended) connection.stay();
    return reason ?? "state";
  }

  #stayReason(connection: Connection, life: number): StayReason | undefined {
    if (this.#owner.isClosing) return "closing";
    return connection.stayReason ?? (this.#ways.has(life) ? undefined : "shard");
  }

  /** Sends suspended connections away together, or lets them go on here. */
  async #departAll(life: number, leaving: readonly Leaving[]): Promise<void> {
    const leavers = leaving.map((one) => ({ ...one, ...one.connection.leaver }));
    const alone = leavers.filter(({ subscriptions, memberships }) => subscriptions.length + memberships.length === 0);
    const subscribed = leavers.filter((leaver) => !alone.includes(leaver));
    const mail = this.#owner.mail.leaveFor(
      life,
      leaving.map(({ connection }) => connection.address),
    );
    const departure = subscribed.length === 0 ? undefined : this.#owner.leaveFor(life, subscribed);
    const left = new Set<Leaving>();
    let hasRoom = false;
    const send = (one: Leaving, ticket: Ticket | undefined): boolean => {
      const outcome = this.#send(one, life, ticket, mail, hasRoom);
      left.add(one);
      if (outcome !== "moved") mail.stays(one.connection.address);
      one.done(outcome);
      return outcome === "moved";
    };
    const relayed = leaving.filter(({ connection }) => connection.isRelayed);
    await Promise.all([mail.ready, relayed.length === 0 ? undefined : allHeld(relayed)]);
    hasRoom = relayed.length === leaving.length || hasDescriptor();
    for (const one of alone) send(one, undefined);
    try {
      await departure?.ready;
      departure?.commit(send);
    } catch {
      // Called off: the other thread has ended or has no room, or a thread doesn't answer.
    }
    for (const one of subscribed) {
      if (left.has(one)) continue;
      mail.stays(one.connection.address);
      one.done(one.connection.isSuspended ? "shard" : "closing");
      if (one.connection.isSuspended) one.connection.stay();
    }
  }

  /** Sends one suspended connection away, or lets it go on here. Returns an error for what can't be cloned. */
  #send(
    { connection, state: bytes, resumed }: Leaving,
    life: number,
    ticket: Ticket | undefined,
    mail: LeavingActors,
    hasRoom: boolean,
  ): Outcome {
    if (!connection.isSuspended) return "closing";
    const way = connection.isRelayed || hasRoom ? this.#ways.get(life) : undefined;
    const parts = way === undefined ? undefined : connection.takeApart(bytes, ticket);
    if (parts === undefined || way === undefined) {
      connection.stay();
      return way === undefined ? "shard" : "closing";
    }
    const { connections } = this.#owner;
    const openedAt = connections.openedAt(connection) ?? Date.now();
    connections.delete(connection);
    const hops = (this.#hops.get(connection) ?? 0) + 1;
    this.#hops.delete(connection);
    const clientKey = this.#owner.departed(connection);
    const { state, detached } = parts;
    const luggage: Luggage = { openedAt, clientKey, hops };
    const stay = (): void => {
      const transport = this.#transportOver(detached, state, this.#owner.life);
      this.adopt({ ...state, ticket: undefined }, transport, { ...luggage, hops: hops - 1 });
    };
    try {
      checkWaiting(state.cell.waiting);
      if (!this.#post(way, detached, { state: serialize(state), ...luggage })) {
        stay();
        return "shard";
      }
    } catch (cause) {
      // A mail that `structuredClone` can copy, and that `v8.serialize` can't write or changes.
      stay();
      return notCloneable(cause);
    }
    mail.left(connection.address, asksIn(state.cell.waiting));
    this.#reports.departed({ address: connection.address, to: life, hops, clientKey });
    this.#resumptions.expect({ address: connection.address, hops }, life, resumed);
    return "moved";
  }

  /** Posts a connection that was taken apart. Returns false if the socket stays here. */
  #post(way: ThreadWay, detached: Detached, luggage: Luggage & Pick<ConnectionMessage, "state">): boolean {
    const transfer = [luggage.state.buffer as ArrayBuffer];
    if ("socket" in detached) {
      const message: ConnectionMessage = { kind: "connection", socket: detached.socket, ...luggage };
      return this.#owner.sockets.post(way, message, transfer);
    }
    const message: RelayedConnectionMessage = { kind: "relayedConnection", stream: detached.stream, ...luggage };
    // What the stream has written is on its way before the other thread takes the stream.
    this.#owner.relay.flush();
    way.port.postMessage(message, transfer);
    return true;
  }

  /** @param from life of the thread that the connection has left */
  #arrive({ kind, state, ...message }: ConnectionMessage | RelayedConnectionMessage, from: number): void {
    const known: ConnectionState = deserialize(state);
    const { openedAt, clientKey, hops } = message;
    const luggage: Luggage = { openedAt, clientKey, hops };
    const address = known.identity.id as Address;
    const resumed = (isLost: boolean): void => this.#resumptions.ended(from, address, hops, isLost);
    this.adopt(known, this.#transportOver(message, known, from), luggage, resumed);
    this.#reports.arrived({ address, hops });
  }

  /** Puts a connection together that was taken apart here or elsewhere. */
  adopt(
    state: ConnectionState,
    transport: Transport,
    { openedAt, clientKey, hops }: Luggage,
    resumed: ResumptionEnded = noop,
  ): void {
    const { identity, deflate } = state;
    const connection = new Connection(transport, identity, this.#owner.host, deflate);
    if (hops > 0) this.#hops.set(connection, hops);
    this.#owner.arrived(connection, clientKey, openedAt);
    connection.resume((this.#owner.moduleOf(identity.actor) as ActorModule).actorClass, state, resumed);
    this.#owner.resumed(connection);
  }

  #transportOver(
    carrier: Pick<DetachedSocket, "socket"> | Pick<DetachedStream, "stream">,
    { unread }: ConnectionState,
    from: number,
  ): Transport {
    const bytes = bufferOver(unread);
    if ("socket" in carrier) return this.#owner.sockets.adopt(carrier.socket, bytes);
    return this.#owner.relay.take(carrier.stream, from, bytes);
  }

  #failed({ address, actor }: Connection, failure: StayReason | SwitchboardError): void {
    const { counters, events } = this.#owner.host;
    counters.add("movesFailed");
    const reason = typeof failure === "string" ? failure : "state";
    const error = typeof failure === "string" ? moveFailed(failure) : failure;
    events.report("moveFailed", { id: address, actor, reason, error: reportError(error) });
  }
}

export function bufferOver({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Returns the asks that wait in a mailbox. */
function asksIn(waiting: readonly WaitingState[]): AskedBy[] {
  return waiting.flatMap((one) => (one.kind === "mail" && one.askedBy !== undefined ? [one.askedBy] : []));
}

/** Resolves when relayed connections may be taken apart, or the main thread has taken too long: then they stay. */
async function allHeld(leaving: readonly Leaving[]): Promise<void> {
  const over = new AbortController();
  const limit = delay(HOLD_LIMIT_MS, undefined, { signal: over.signal, ref: false }).catch(noop);
  await Promise.race([Promise.all(leaving.map(({ connection }) => connection.hold())), limit]);
  over.abort();
}

/** True if the process may open one more file: a move needs a descriptor for a moment. */
function hasDescriptor(): boolean {
  try {
    closeSync(openSync(devNull, "r"));
    return true;
  } catch {
    return false;
  }
}
