/**
 * The channels of `node:diagnostics_channel` and their messages. The acceptor and the connections publish to them.
 */
import { channel } from "node:diagnostics_channel";
import type { Address } from "../../runtime/actor/address.ts";
import type { UpgradeRequest } from "../../wire/handshake/server.ts";

/** Message about an answered upgrade request, in the thread that did the handshake. */
export interface UpgradeDiagnostics {
  /** Undefined if the request couldn't be parsed. */
  readonly request: UpgradeRequest | undefined;
  readonly outcome: "accepted" | "refused" | "abandoned" | "failed";
  /** HTTP status of a refusal. */
  readonly status?: number;
}

/** Message about a connection that opened, or ended for its actor, in the shard's thread. */
export interface ConnectionDiagnostics {
  readonly address: Address;
  readonly shard: number;
  /** Close code; only of a connection that ended. */
  readonly code?: number;
  readonly reason?: string;
}

/** Channels of `node:diagnostics_channel`, one set per thread. Check `hasSubscribers` before making a message. */
export const upgradeChannel = channel("switchboard:upgrade");
export const openedChannel = channel("switchboard:connection:opened");
export const closedChannel = channel("switchboard:connection:closed");
