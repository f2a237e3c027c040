/** The interface between a thread of the load and its scenario. */
import type { ClientSettings } from "../client.ts";
import type { FanoutShare } from "../messages.ts";
import type { LoadSettings } from "../settings.ts";
import type { Tally } from "../tally.ts";

/** The part of a thread that its scenario uses. */
export interface ScenarioHost {
  readonly settings: LoadSettings;
  readonly client: ClientSettings;
  readonly tally: Tally;
  /** Number of connections of this thread. */
  readonly connections: number;
  /** Number of connections of the threads before this one. */
  readonly before: number;
  readonly fanout: FanoutShare;
  /** The number of open connections has changed to `open`. */
  openChanged(open: number): void;
  /** A step is done, and `open` connections are open. */
  stepReached(open: number): void;
  /** Everything that there was to do is done. Called once. */
  spent(): void;
}

/** One thread's part of a scenario. */
export interface Scenario {
  /** Opens the connections; resolves when each is open or has failed. */
  open(): Promise<void>;
  /** Starts sending. */
  start(): void;
  /** Stops sending. */
  stop(): void;
  /** Number of messages whose reply or delivery may still arrive. */
  readonly outstanding: number;
  /** Closes the connections. */
  close(): void;
}
