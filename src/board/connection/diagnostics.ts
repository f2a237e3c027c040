import { channel } from "node:diagnostics_channel";
import type { Address } from "../../runtime/actor/address.ts";
import type { UpgradeRequest } from "../../wire/handshake/server.ts";

/** An upgrade request got its answer. In the thread that did the handshake. */
export interface UpgradeDiagnostics {
  /** Undefined for what couldn't be parsed. */
  readonly request: UpgradeRequest | undefined;
  readonly outcome: "accepted" | "refused" | "abandoned" | "failed";
  /** Of a refusal. */
  readonly status?: number;
}

/** A connection opened, or ended for its actor. In the shard's thread. */
export interface ConnectionDiagnostics {
  readonly address: Address;
  readonly shard: number;
  /** When it ended. */
  readonly code?: number;
  readonly reason?: string;
}

/** Channels of `node:diagnostics_channel`, each for its own thread. Ask `hasSubscribers` before making a message. */
export const upgradeChannel = channel("switchboard:upgrade");
export const openedChannel = channel("switchboard:connection:opened");
export const closedChannel = channel("switchboard:connection:closed");
