/**
 * Connections between a shard and another process: suspended together, given up as a socket and the bytes of a
 * state, taken in, and started together. `Shard` has one. Topics don't come along by marks, as between threads: the
 * board keeps all publishes while connections are on their way.
 */
import { setTimeout as delay } from "node:timers/promises";
import { deserialize, serialize } from "node:v8";
import { reportError, SwitchboardError } from "../../../errors.ts";
import { type Address, shardOf } from "../../../runtime/actor/address.ts";
import { checkWaiting } from "../../../runtime/actor/moving/cell-state.ts";
import type { StayReason } from "../../../runtime/actor/moving/suspension.ts";
import { closeDescriptor } from "../../../wire/native/sockets.ts";
import type { TcpHandle } from "../../../wire/node-internals/net.ts";
import { holdsByNumber } from "../../../wire/passing/passed-sockets.ts";
import type { BareSocket, Transport } from "../../../wire/transport/transport.ts";
import type { Connection } from "../../connection/connection.ts";
import type { ConnectionState } from "../../connection/connection-state.ts";
import { bufferOver } from "./arrivals.ts";
import type {
  CalmQuery,
  GivenUpConnection,
  Luggage,
  PassHandlesQuery,
  PassInQuery,
  PassOutQuery,
  StartedConnections,
  SuspendAllQuery,
  TakenIn,
} from "./messages.ts";
import type { Mover } from "./mover.ts";
import type { MoverOwner } from "./mover-owner.ts";
import { suspend } from "./suspend.ts";

/** Everything that travels with a descriptor. */
interface PassedState extends Luggage {
  readonly state: ConnectionState;
}

/** A connection that was taken in and doesn't run yet. */
interface Guest extends PassedState {
  readonly descriptor: number;
}

/** Number of connections of a shard that are about to be suspended at the same time. */
const MAX_TOGETHER = 64;

const POLL_MS = 5;

export class Passing {
  readonly #owner: MoverOwner;
  readonly #mover: Mover;
  /** Suspended connections, with what their actors' `suspended` returned, as bytes. */
  readonly #suspended = new Map<Connection, Uint8Array>();
  #guests: Guest[] = [];
  /** Handles of guests, by their numbers. */
  readonly #handles = new Map<number, TcpHandle>();

  constructor(owner: MoverOwner, mover: Mover) {
    this.#owner = owner;
    this.#mover = mover;
  }

  /** Resolves when each actor that can go was idle once, or the time is over. */
  async calm({ setsAside, limitMs }: CalmQuery): Promise<void> {
    const deadline = performance.now() + limitMs;
    const movable = [...this.#owner.connections].filter((one) => this.#versionOf(one) !== undefined && one.isMovable);
    if (setsAside) for (const connection of movable) connection.setAside();
    let busy = movable;
    for (;;) {
      busy = busy.filter((connection) => !connection.isIdle);
      if (busy.length === 0 || performance.now() > deadline) return;
      await delay(POLL_MS);
    }
  }

  #versionOf({ actor }: Connection): number | undefined {
    return this.#owner.moduleOf(actor)?.moves;
  }

  /** Suspends all connections. Those whose actors have no `moves`, or can't be suspended in time, go on. */
  async suspendAll({ limitMs }: SuspendAllQuery): Promise<number> {
    const deadline = performance.now() + limitMs;
    const all = this.#owner.connections[Symbol.iterator]();
    const oneByOne = async (): Promise<void> => {
      for (let next = all.next(); next.done !== true; next = all.next()) await this.#suspend(next.value, deadline);
    };
    await Promise.all(Array.from({ length: MAX_TOGETHER }, oneByOne));
    return this.#suspended.size;
  }

  async #suspend(connection: Connection, deadline: number): Promise<void> {
    const version = this.#versionOf(connection);
    if (version === undefined || this.#suspended.has(connection)) return;
    while (this.#mover.isLeaving(connection)) await delay(POLL_MS);
    // The main thread's streams can't leave the process.
    const reason = (): StayReason | undefined =>
      connection.stayReason ?? (connection.isRelayed ? "transport" : undefined);
    const stayReason = (): StayReason | undefined => (this.#owner.isClosing ? "closing" : reason());
    const bytes = await suspend(connection, version, deadline, stayReason);
    if (bytes instanceof SwitchboardError) this.#failed(connection, bytes);
    if (bytes instanceof Uint8Array) this.#suspended.set(connection, bytes);
  }

  /** Lets the connections go on that are suspended. */
  resumeAll(): void {
    for (const connection of this.#suspended.keys()) if (connection.isSuspended) connection.stay();
    this.#suspended.clear();
    for (const connection of this.#owner.connections) connection.readOn();
  }

  /** Gives up suspended connections, at most `count`. */
  giveUp({ count }: PassOutQuery): readonly GivenUpConnection[] {
    const passed: GivenUpConnection[] = [];
    for (const [connection, bytes] of this.#suspended) {
      if (passed.length === count) break;
      this.#suspended.delete(connection);
      const one = connection.isSuspended ? this.#takeApart(connection, bytes) : undefined;
      if (one !== undefined) passed.push(one);
    }
    return passed;
  }

  #takeApart(connection: Connection, bytes: Uint8Array): GivenUpConnection | undefined {
    const { subscriptions } = connection.leaver;
    const parts = connection.takeApart(bytes, undefined);
    if (parts === undefined) {
      connection.stay();
      return undefined;
    }
    const { state, detached } = parts;
    if (!("socket" in detached)) throw new Error("a relayed connection can't leave the process");
    const { connections, host, sockets } = this.#owner;
    for (const { topic, subscriber, encode } of subscriptions) host.topics.bus.unsubscribe(topic, subscriber, encode);
    const openedAt = connections.openedAt(connection) ?? Date.now();
    connections.delete(connection);
    const clientKey = this.#owner.departed(connection);
    const { socket, unread } = detached;
    const luggage: Luggage = { openedAt, clientKey, hops: this.#mover.arrivals.takeHops(connection) };
    try {
      checkWaiting(state.cell.waiting);
      const passed: PassedState = { state, ...luggage };
      const serialized = serialize(passed);
      const given = holdsByNumber() ? { descriptor: sockets.release(socket) } : socket;
      return { state: serialized, socket: given, shard: shardOf(connection.address) };
    } catch (cause) {
      // A mail can't be written as bytes, or no descriptor is left.
      this.#mover.arrivals.adopt(state, sockets.adopt(socket, unread), luggage);
      const code = cause instanceof SwitchboardError ? cause.code : "ERR_STATE_NOT_CLONEABLE";
      this.#failed(connection, new SwitchboardError(code, (cause as Error).message, { cause }));
      return undefined;
    }
  }

  /** Reads the states of connections, and keeps them for `start`. Returns an error if a state can't be read. */
  takeIn({ connections, isReturn }: PassInQuery): TakenIn {
    try {
      const guests = connections.map(({ descriptor, state }): Guest => {
        const passed: PassedState = deserialize(state);
        return { ...(isReturn ? passed : asForeign(passed)), descriptor };
      });
      this.#guests.push(...guests);
      // The first that starts may send mail to the last at once, also from another shard.
      for (const { state } of guests) this.#owner.mail.expect(state.identity.id as Address);
      return { error: undefined };
    } catch (error) {
      return { error: reportError(error) };
    }
  }

  /** Connections that were given up couldn't leave this thread: they go on here. */
  takeBack(given: readonly GivenUpConnection[]): void {
    for (const { socket, state } of given) this.#run(deserialize(state), () => socket);
  }

  takeHandles({ handles }: PassHandlesQuery): void {
    for (const [descriptor, handle] of handles) this.#handles.set(descriptor, handle);
  }

  /** Starts the connections that were taken in, where they were stopped. One that can't go on is closed. */
  async start(): Promise<StartedConnections> {
    const guests = this.#guests;
    this.#guests = [];
    const clientKeys: string[] = [];
    let running = 0;
    for (const { descriptor, ...passed } of guests) {
      if (!this.#run(passed, () => this.#socketOf(descriptor))) continue;
      running++;
      if (passed.clientKey !== undefined) clientKeys.push(passed.clientKey);
    }
    await this.#owner.topicsKnown();
    return { running, clientKeys };
  }

  /** Lets a connection go on in this thread. Returns false if the connection can't go on, and is closed. */
  #run({ state, ...luggage }: PassedState, socketOf: () => BareSocket): boolean {
    let socket: BareSocket | undefined;
    let transport: Transport | undefined;
    try {
      socket = socketOf();
      transport = this.#owner.sockets.adopt(socket, bufferOver(state.unread));
      this.#mover.arrivals.adopt(state, transport, luggage);
      return true;
    } catch (error) {
      if (transport !== undefined) transport.destroy();
      else if (socket !== undefined) closeBare(socket);
      // What was kept for the actor has no receiver.
      this.#owner.mail.arrived(state.identity.id as Address);
      this.#owner.host.events.report("handshakeFailed", { error: reportError(error) });
      return false;
    }
  }

  /** Throws if the socket's handle got lost on its way to this thread. */
  #socketOf(descriptor: number): BareSocket {
    if (holdsByNumber()) return { descriptor };
    const handle = this.#handles.get(descriptor);
    this.#handles.delete(descriptor);
    if (handle === undefined) throw new SwitchboardError("ERR_SOCKET_STAYED", "the system has no descriptor left");
    return { handle };
  }

  #failed({ address, actor }: Connection, error: SwitchboardError): void {
    const { counters, events } = this.#owner.host;
    counters.add("movesFailed");
    events.report("moveFailed", { id: address, actor, reason: "state", error: reportError(error) });
  }
}

function closeBare(socket: BareSocket): void {
  if ("handle" in socket) socket.handle.close();
  else closeDescriptor(socket.descriptor);
}

/**
 * Returns a connection of another process without what means something else here: its moves between threads, and the
 * askers of the asks that wait in its mailbox. Those have ended with their process.
 */
function asForeign(foreign: PassedState): PassedState {
  const passed = { ...foreign, hops: 0 };
  const { cell } = passed.state;
  if (!cell.waiting.some((one) => one.kind === "mail" && one.askedBy !== undefined)) return passed;
  const waiting = cell.waiting.map((one) => (one.kind === "mail" ? { ...one, askedBy: undefined } : one));
  return { ...passed, state: { ...passed.state, cell: { ...cell, waiting } } };
}
