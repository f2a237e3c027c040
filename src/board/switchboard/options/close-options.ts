/** The options of `board.close` and `board.closeOnSignals`: types, defaults and checks. */
import { CloseCode } from "../../../wire/protocol/close-code.ts";
import type { ShutdownSettings } from "../../shard/shutdown.ts";
import { check, withoutUndefined } from "./option-validation.ts";

export interface CloseOptions {
  /**
   * Time for the shutdown after `readinessDelayMs`. Connections left 1 s before its end (or after four fifths, if
   * that is later) are dropped; handlers that still run at its end are cut. Allow time for all batches. Sockets on
   * their way to a shard have a fifth of the time to arrive, at most 1 s. A shard that is blocked is ended 1 s after
   * the end of the time. The engine of topics stops last: it has what is left of the time, at least 200 ms and at most
   * 1 s. Default: 5 s.
   */
  readonly timeoutMs?: number;
  /**
   * Time for which the board still takes upgrades while `board.ready` is already false, so that a load balancer notices
   * in time. Default: 0.
   */
  readonly readinessDelayMs?: number;
  /**
   * Number of connections, over the whole board, that are closed at once, so that not all peers return at once.
   * Default: 10,000.
   */
  readonly batchSize?: number;
  /** Time between two batches. Default: 2 s. */
  readonly batchIntervalMs?: number;
  /**
   * Close code: 1001 (going away), 1012 (restarting: clients may come back), or 3000 to 4999 for a protocol of one's
   * own. Default: 1001.
   */
  readonly code?: number;
  /** Close reason, at most 123 bytes of UTF-8. Default: "server is going away", or with 1012 "server is restarting". */
  readonly reason?: string;
}

export interface CloseOnSignalsOptions extends CloseOptions {
  /** Signals that close the board. Default: `SIGTERM` and `SIGINT`. */
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
  const { reason = code === CloseCode.serviceRestart ? "server is restarting" : "server is going away" } = rest;
  return { timeoutMs, readinessDelayMs, batchSize, batchIntervalMs, code, reason };
}

export interface SignalSettings {
  readonly signals: readonly NodeJS.Signals[];
  readonly close: CloseOptions;
}

export function checkCloseOnSignalsOptions(options: CloseOnSignalsOptions): SignalSettings {
  check("closeOnSignals", options, ["signals", ...closeOptions]);
  const { signals = ["SIGTERM", "SIGINT"], ...close } = options;
  return { signals, close };
}
