/**
 * A connection that moves, as plain data: without shared memory, ports and functions, so that `v8.serialize` writes it
 * for another thread or another process. `Connection` takes itself apart into it, and is put together from it.
 */
import type { CellState } from "../../runtime/actor/moving/cell-state.ts";
import type { Ticket } from "../../runtime/bus/moving/move.ts";
import type { DeflateAgreement } from "../../wire/protocol/deflate/compression.ts";
import type { ConnectionIdentity } from "./connection-host.ts";
import type { InboundState } from "./inbound.ts";
import type { OutboundState } from "./outbound/outbound.ts";
import type { SubscriptionsState } from "./subscriptions.ts";

/** The part of the state that `Endpoint` saves and loads. */
export interface EndpointState {
  readonly deflate: DeflateAgreement | undefined;
  /** Bytes of the peer that nobody has decoded, behind those of the decoder. */
  readonly unread: Uint8Array;
  /** Bytes that the system hasn't taken, in order: the new owner writes them first. */
  readonly unsent: readonly Uint8Array[];
  readonly inbound: InboundState;
  readonly outbound: OutboundState;
}

export interface ConnectionState extends EndpointState {
  readonly identity: ConnectionIdentity;
  readonly cell: CellState;
  readonly subscriptions: SubscriptionsState;
  /** Names the connection in the bus's part of the move; undefined if it has no topics. */
  readonly ticket: Ticket | undefined;
}
