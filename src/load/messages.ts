/** The messages between the main thread and the threads of the load. */
import type { Count } from "./histogram.ts";
import type { Effort } from "./meter.ts";
import type { LoadSettings } from "./settings.ts";
import type { Target } from "./target.ts";

/** The data that a thread of the load is started with. */
export interface LoadTask {
  readonly settings: LoadSettings;
  readonly target: Target;
  /** Number of connections of this thread. */
  readonly connections: number;
  /** Number of connections of the threads before this one. */
  readonly before: number;
  readonly fanout: FanoutShare;
}

/** The data that all threads of a fan-out share. */
export interface FanoutShare {
  /** Memory of `SharedPublishes`. */
  readonly memory: SharedArrayBuffer;
  /** Largest number of publishes in flight per publisher: a power of two. */
  readonly window: number;
  /**
   * Name of the BroadcastChannel by which threads tell each other of delivered publishes. Each message is the number of
   * a publisher and nothing else.
   */
  readonly channel: string;
}

/**
 * A command to a thread. One counted time: `send`, `start`, `end`, `stop`, `settle`, `report`. A slice: `start`,
 * `send`, `stop`, `settle`, `end`, `report`, and so on for the next. Then `finish`.
 */
export type LoadCommand =
  /** Start sending. */
  | { readonly kind: "send" }
  /** The counted time begins. */
  | { readonly kind: "start" }
  /** The counted time is over. */
  | { readonly kind: "end" }
  /** Send no more. */
  | { readonly kind: "stop" }
  /** Wait for replies that are missing. */
  | { readonly kind: "settle" }
  /** Report. */
  | { readonly kind: "report" }
  /** Close the connections. */
  | { readonly kind: "finish" };

/** A notice from a thread. */
export type LoadNotice =
  /** The number of open connections has changed. */
  | { readonly kind: "open"; readonly connections: number }
  /** Idle: a step is done. */
  | { readonly kind: "step"; readonly connections: number }
  /** Every connection is open or has failed. */
  | { readonly kind: "ready" }
  /** The thread counts from now on. */
  | { readonly kind: "started" }
  /** The number of messages received, twice a second. */
  | { readonly kind: "progress"; readonly received: number }
  /** Storm: the thread has made its part of the total. */
  | { readonly kind: "spent" }
  /** The thread has stopped counting. */
  | { readonly kind: "ended" }
  /** Every reply to this thread has arrived or was given up. Messages for other threads may still arrive here. */
  | { readonly kind: "settled" }
  /** The report. */
  | { readonly kind: "report"; readonly report: ThreadReport };

/** The counts of one thread: `Tally` says what each means. */
export interface ThreadReport {
  // These count in the counted time.
  readonly sent: number;
  readonly received: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  // These count in the whole run.
  readonly lost: number;
  readonly wrong: number;
  readonly opened: number;
  readonly failed: number;
  readonly closed: number;
  readonly latency: ThreadHistogram;
  readonly slip: ThreadHistogram;
  readonly errors: readonly (readonly [what: string, times: number])[];
  readonly effort: Effort;
}

/** A histogram as plain data, with the exact mean and largest value, which the buckets don't have. */
export interface ThreadHistogram {
  readonly counts: readonly Count[];
  readonly mean: number;
  readonly max: number;
}
