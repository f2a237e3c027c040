/**
 * Puts connections together that were taken apart here or elsewhere, and counts the moves of each. `Mover` has one,
 * which `Passing` uses for the connections of another process.
 */
import { deserialize } from "node:v8";
import type { Address } from "../../../runtime/actor/address.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import type { Detached, DetachedSocket, DetachedStream, Transport } from "../../../wire/transport/transport.ts";
import { Connection } from "../../connection/connection.ts";
import type { ConnectionState } from "../../connection/connection-state.ts";
import type { ActorModule } from "../actor-module.ts";
import type { ConnectionMessage, Luggage, RelayedConnectionMessage } from "./messages.ts";
import type { MoveReports } from "./move-reports.ts";
import type { MoverOwner } from "./mover-owner.ts";
import type { ResumptionEnded, Resumptions } from "./resumptions.ts";

export class Arrivals {
  readonly #owner: MoverOwner;
  readonly #reports: MoveReports;
  readonly #resumptions: Resumptions;
  /** Numbers of moves of the connections that have moved. */
  readonly #hops = new Map<object, number>();

  constructor(owner: MoverOwner, reports: MoveReports, resumptions: Resumptions) {
    this.#owner = owner;
    this.#reports = reports;
    this.#resumptions = resumptions;
  }

  /** Takes a connection that another shard has posted. @param from life of the thread that the connection has left */
  arrive({ kind, state, ...message }: ConnectionMessage | RelayedConnectionMessage, from: number): void {
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

  /** Takes a connection back that was taken apart here and can't leave. */
  takeBack(state: ConnectionState, detached: Detached, luggage: Luggage): void {
    this.adopt({ ...state, ticket: undefined }, this.#transportOver(detached, state, this.#owner.life), luggage);
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

  /** Returns the number of moves of a connection that leaves or has closed, and forgets it. */
  takeHops(connection: object): number {
    if (this.#hops.size === 0) return 0;
    const hops = this.#hops.get(connection) ?? 0;
    this.#hops.delete(connection);
    return hops;
  }
}

export function bufferOver({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
