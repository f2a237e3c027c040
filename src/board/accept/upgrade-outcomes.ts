/** Counts how upgrades end, and tells it on the diagnostics channel `switchboard:upgrade`. Used by the acceptor. */
import type { UpgradeCounters, UpgradeOutcome } from "../../runtime/stats/upgrade-counters.ts";
import type { UpgradeRequest } from "../../wire/handshake/server.ts";
import type { HandoffResult } from "../../wire/transport/pending-handoffs.ts";
import type { UpgradeRefusal } from "../../wire/upgrade/response.ts";
import { upgradeChannel } from "../connection/diagnostics.ts";

const OUTCOMES = { adopted: "accepted", peerGone: "abandoned", failed: "failed" } as const;

export class UpgradeOutcomes {
  readonly counters: UpgradeCounters;
  readonly #handshakeFailed: (error: Error) => void;

  /** @param handshakeFailed takes the error of a handoff that failed */
  constructor(counters: UpgradeCounters, handshakeFailed: (error: Error) => void) {
    this.counters = counters;
    this.#handshakeFailed = handshakeFailed;
  }

  /** Reports an accepted upgrade whose socket has left for its shard, or was lost on the way. */
  handedOff(result: Exclude<HandoffResult, { outcome: "stayed" }>, request: UpgradeRequest): void {
    this.ended(OUTCOMES[result.outcome], request);
    if (result.outcome === "failed") this.#handshakeFailed(result.error);
  }

  ended(outcome: UpgradeOutcome, request: UpgradeRequest): void {
    this.counters.add(outcome);
    if (upgradeChannel.hasSubscribers) upgradeChannel.publish({ request, outcome });
  }

  /** Tells of an upgrade that goes to the process that has taken over. It is counted once that process has it. */
  passedOn(request: UpgradeRequest): void {
    if (upgradeChannel.hasSubscribers) upgradeChannel.publish({ request, outcome: "passedOn" });
  }

  /** @param request undefined where no request could be read */
  refused({ status }: UpgradeRefusal, request: UpgradeRequest | undefined): void {
    this.counters.addRefused(status);
    if (upgradeChannel.hasSubscribers) upgradeChannel.publish({ request, outcome: "refused", status });
  }
}
