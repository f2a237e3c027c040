/**
 * Connections between a shard and another process: suspended together (`Standstill`), given up as a socket and the
 * bytes of a state, taken in, and started together. `Shard` has one. Topics don't come along by marks, as between
 * threads: the board keeps all publishes while connections are on their way.
 */
import { deserialize, serialize } from "node:v8";
import { threadId } from "node:worker_threads";
import { reportError, SwitchboardError } from "../../../errors.ts";
import { type Address, shardOf } from "../../../runtime/actor/address.ts";
import { checkWaiting } from "../../../runtime/actor/moving/cell-state.ts";
import { Estate } from "../../../wire/native/estate/estate.ts";
import type { TcpHandle } from "../../../wire/node-internals/net.ts";
import { holdsByNumber } from "../../../wire/passing/passed-sockets.ts";
import type { BareSocket, Transport } from "../../../wire/transport/transport.ts";
import type { Connection } from "../../connection/connection.ts";
import type { ConnectionState } from "../../connection/connection-state.ts";
import { bufferOver } from "./arrivals.ts";
import { Lending } from "./lending.ts";
import type {
  GivenUpConnection,
  Luggage,
  PassHandlesQuery,
  PassInQuery,
  PassOutQuery,
  StartedConnections,
  TakenIn,
} from "./messages.ts";
import { reportMoveFailure } from "./move-failures.ts";
import type { Mover } from "./mover.ts";
import type { MoverOwner } from "./mover-owner.ts";
import { Standstill } from "./standstill.ts";

/** Bytes of states after which a shard gives up no further connection at a time. */
const LARGE_BYTES = 512 * 1024;

/** Everything that travels with a descriptor. */
interface PassedState extends Luggage {
  readonly state: ConnectionState;
}

/** A connection that was taken in and doesn't run yet. */
interface Guest extends PassedState {
  readonly descriptor: number;
}

export class Passing {
  readonly #owner: MoverOwner;
  readonly #mover: Mover;
  readonly standstill: Standstill;
  readonly lending: Lending;
  #guests: Guest[] = [];
  /** Handles of guests, by their numbers. */
  readonly #handles = new Map<number, TcpHandle>();
  /** List of descriptors that leave this thread, with Node's sockets. */
  #list: Estate | undefined;

  constructor(owner: MoverOwner, mover: Mover) {
    this.#owner = owner;
    this.#mover = mover;
    this.standstill = new Standstill(owner, mover);
    this.lending = new Lending(() => this.standstill.leaving());
  }

  /**
   * Gives up suspended connections, at most `count`, and no more once their states are large: the other process reads
   * them while this one makes the next. The main thread claims their descriptors: see `PassOutQuery`.
   */
  giveUp({ count, list }: PassOutQuery): readonly GivenUpConnection[] {
    if (list !== undefined && this.#list?.memory !== list) this.#list = new Estate(list, threadId);
    const passed: GivenUpConnection[] = [];
    const { suspended } = this.standstill;
    let stateBytes = 0;
    for (const [connection, bytes] of suspended) {
      if (passed.length === count || stateBytes > LARGE_BYTES) break;
      suspended.delete(connection);
      const one = connection.isSuspended ? this.#takeApart(connection, bytes) : undefined;
      if (one === undefined) continue;
      passed.push(one);
      stateBytes += one.state.byteLength;
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
      const given = holdsByNumber() ? { descriptor: sockets.release(socket, this.#list) } : socket;
      const ahead = this.lending.numberOf(connection);
      return { state: serialized, socket: given, shard: shardOf(connection.address), ahead };
    } catch (cause) {
      // A mail can't be written as bytes, or no descriptor is left.
      this.#mover.arrivals.adopt(state, sockets.adopt(socket, unread), luggage);
      const code = cause instanceof SwitchboardError ? cause.code : "ERR_STATE_NOT_CLONEABLE";
      const failure = new SwitchboardError(code, (cause as Error).message, { cause });
      reportMoveFailure(host, connection, failure, "process");
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

  /**
   * Starts the connections that were taken in, where they were stopped. One that can't go on is closed. The answer is
   * posted before anything else happens in this thread: see `PassedIn`.
   */
  start(): StartedConnections {
    const guests = this.#guests;
    this.#guests = [];
    const clientKeys: string[] = [];
    let running = 0;
    for (const { descriptor, ...passed } of guests) {
      if (!this.#run(passed, () => this.#socketOf(descriptor))) continue;
      running++;
      if (passed.clientKey !== undefined) clientKeys.push(passed.clientKey);
    }
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
      else if (socket !== undefined) this.#owner.sockets.discard(socket);
      // Mail that was kept for the actor has no receiver.
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
