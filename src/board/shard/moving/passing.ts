/**
 * Connections between a shard and another process: given up as a descriptor and the bytes of a state, and taken in. `Shard`
 * has one. Topics don't come along by marks, as between threads: the subscriptions end here, and begin again there.
 */
import { deserialize, serialize } from "node:v8";
import { reportError, SwitchboardError } from "../../../errors.ts";
import { closeDescriptor } from "../../../wire/native/sockets.ts";
import { ownerOf } from "../../../wire/node-internals/net.ts";
import { fromDescriptor, toDescriptor } from "../../../wire/passing/descriptor-transport.ts";
import { TcpTransport } from "../../../wire/transport/tcp-transport.ts";
import type { Connection } from "../../connection/connection.ts";
import type { ConnectionState } from "../../connection/connection-state.ts";
import type { PassedConnection, PassInQuery, PassOutQuery } from "./messages.ts";
import type { Luggage, Mover, MoverOwner } from "./mover.ts";

/** Everything that travels with a descriptor. */
interface PassedState extends Omit<Luggage, "hops"> {
  readonly state: ConnectionState;
}

/** Number of connections of a shard that are suspended, or about to be, at the same time. */
const MAX_TOGETHER = 64;

export class Passing {
  readonly #owner: MoverOwner;
  readonly #mover: Mover;

  constructor(owner: MoverOwner, mover: Mover) {
    this.#owner = owner;
    this.#mover = mover;
  }

  /** Gives up connections. Those whose actors have no `moves`, or can't be suspended, stay and go on. */
  async giveUp({ count, limitMs }: PassOutQuery): Promise<readonly PassedConnection[]> {
    const deadline = performance.now() + limitMs;
    const all = this.#owner.connections[Symbol.iterator]();
    const passed: PassedConnection[] = [];
    let room = count;
    const oneByOne = async (): Promise<void> => {
      while (room > 0) {
        const { done, value: connection } = all.next();
        if (done === true) return;
        room--;
        const one = await this.#giveUpOne(connection, deadline);
        if (one === undefined) room++;
        else passed.push(one);
      }
    };
    await Promise.all(Array.from({ length: Math.min(MAX_TOGETHER, count) }, oneByOne));
    return passed;
  }

  async #giveUpOne(connection: Connection, deadline: number): Promise<PassedConnection | undefined> {
    const version = this.#owner.moduleOf(connection.actor)?.moves;
    if (version === undefined) return undefined;
    const reason = (): "closing" | Connection["stayReason"] =>
      this.#owner.isClosing ? "closing" : connection.stayReason;
    const bytes = await this.#mover.suspend(connection, version, deadline, reason);
    if (bytes instanceof SwitchboardError) this.#failed(connection, bytes);
    return bytes instanceof Uint8Array ? this.#takeApart(connection, bytes) : undefined;
  }

  #takeApart(connection: Connection, bytes: Uint8Array): PassedConnection | undefined {
    const { subscriptions } = connection.leaver;
    const parts = connection.takeApart(bytes, undefined);
    if (parts === undefined) {
      connection.stay();
      return undefined;
    }
    const { connections, host } = this.#owner;
    for (const { topic, subscriber, encode } of subscriptions) host.topics.bus.unsubscribe(topic, subscriber, encode);
    const openedAt = connections.openedAt(connection) ?? Date.now();
    connections.delete(connection);
    const clientKey = this.#owner.departed(connection);
    const { state, socket } = parts;
    try {
      const passed: PassedState = { state, openedAt, clientKey };
      const serialized = serialize(passed);
      return { state: serialized, descriptor: toDescriptor(socket) };
    } catch (cause) {
      // The session can't be cloned, or no descriptor is left.
      const { unread } = socket;
      const transport = new TcpTransport(ownerOf(socket.handle), unread, true);
      this.#mover.adopt(state, transport, { openedAt, clientKey, hops: 0 });
      const code = cause instanceof SwitchboardError ? cause.code : "ERR_STATE_NOT_CLONEABLE";
      this.#failed(connection, new SwitchboardError(code, (cause as Error).message, { cause }));
      return undefined;
    }
  }

  /** Takes connections in, which go on where they were stopped. Returns their number: one that can't go on is closed. */
  takeIn({ connections }: PassInQuery): number {
    let running = 0;
    for (const { descriptor, state: bytes } of connections) {
      let transport: TcpTransport | undefined;
      try {
        const { state, ...luggage }: PassedState = deserialize(bytes);
        const { buffer, byteOffset, byteLength } = state.unread;
        transport = fromDescriptor(descriptor, Buffer.from(buffer, byteOffset, byteLength));
        this.#mover.adopt(state, transport, { ...luggage, hops: 0 });
        running++;
      } catch (error) {
        if (transport === undefined) closeDescriptor(descriptor);
        else transport.destroy();
        this.#owner.host.events.report("handshakeFailed", { error: reportError(error) });
      }
    }
    return running;
  }

  #failed({ address, actor }: Connection, error: SwitchboardError): void {
    const { counters, events } = this.#owner.host;
    counters.add("movesFailed");
    events.report("moveFailed", { id: address, actor, reason: "state", error: reportError(error) });
  }
}
