import type { ClientSettings } from "../client.ts";
import type { FanoutShare } from "../messages.ts";
import type { LoadSettings } from "../settings.ts";
import type { Tally } from "../tally.ts";

/** What a scenario has to work with, in one thread. */
export interface ScenarioHost {
  readonly settings: LoadSettings;
  readonly client: ClientSettings;
  readonly tally: Tally;
  /** How many of the connections are this thread's, and how many are other threads' before them. */
  readonly connections: number;
  readonly before: number;
  readonly fanout: FanoutShare;
  /** So many are open now. */
  openChanged(open: number): void;
  /** So many are open, which was the aim of a step. */
  stepReached(open: number): void;
}

/** One thread's part of a scenario. */
export interface Scenario {
  /** Opens the connections; resolves when each is open or has failed. */
  open(): Promise<void>;
  /** Begins to send. */
  start(): void;
  /** No more is sent. */
  stop(): void;
  /** Messages that were sent and may still be answered. */
  readonly outstanding: number;
  /** Ends the connections. */
  close(): void;
}
