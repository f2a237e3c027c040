import { CloseCode } from "../../../wire/protocol/close-code.ts";
import type { ShutdownSettings } from "../../shard/shutdown.ts";
import { check, withoutUndefined } from "./option-validation.ts";

export interface CloseOptions {
  /**
   * How long all of it may take: connections that are left are dropped 1 s before its end (or after four fifths of it, if that is later), and
   * handlers that still run at its end are cut. Give it time for all batches. Default: 5 s.
   */
  readonly timeoutMs?: number;
  /** How long upgrades are still taken while `board.ready` is false already, so that a load balancer sees it in time. Default: 0. */
  readonly readinessDelayMs?: number;
  /** How many connections are closed at once, over the whole board, so that their peers don't all return at once. Default: 10,000. */
  readonly batchSize?: number;
  /** Time between two batches. Default: 2 s. */
  readonly batchIntervalMs?: number;
  /** What peers are told: 1001 (going away), or 1012 (restarting; they may come back). Default: 1001. */
  readonly code?: 1001 | 1012;
  /** At most 123 bytes of UTF-8. Default: "server is going away", or with 1012 "server is restarting". */
  readonly reason?: string;
}

export interface CloseOnSignalsOptions extends CloseOptions {
  /** Default: `SIGTERM` and `SIGINT`. */
  readonly signals?: readonly NodeJS.Signals[];
}

const closeOptions = ["timeoutMs", "readinessDelayMs", "batchSize", "batchIntervalMs", "code", "reason"] as const;

export interface CloseSettings extends ShutdownSettings {
  readonly readinessDelayMs: number;
}

export function checkCloseOptions(options: CloseOptions): CloseSettings {
  check("close", options, closeOptions);
  const {
    timeoutMs = 5_000,
    readinessDelayMs = 0,
    batchSize = 10_000,
    batchIntervalMs = 2_000,
    ...rest
  } = withoutUndefined(options);
  const { code = CloseCode.goingAway } = rest;
  const { reason = DEFAULT_REASONS[code] } = rest;
  return { timeoutMs, readinessDelayMs, batchSize, batchIntervalMs, code, reason };
}

const DEFAULT_REASONS = {
  [CloseCode.goingAway]: "server is going away",
  [CloseCode.serviceRestart]: "server is restarting",
} as const;

export interface SignalSettings {
  readonly signals: readonly NodeJS.Signals[];
  readonly close: CloseOptions;
}

export function checkCloseOnSignalsOptions(options: CloseOnSignalsOptions): SignalSettings {
  check("closeOnSignals", options, ["signals", ...closeOptions]);
  const { signals = ["SIGTERM", "SIGINT"], ...close } = options;
  return { signals, close };
}
