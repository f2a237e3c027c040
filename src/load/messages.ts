import type { Count } from "./histogram.ts";
import type { Effort } from "./meter.ts";
import type { LoadSettings } from "./settings.ts";
import type { Target } from "./target.ts";

/** What a thread of the load is started with. */
export interface LoadTask {
  readonly settings: LoadSettings;
  readonly target: Target;
  /** Connections that are this thread's, and how many are other threads' before them. */
  readonly connections: number;
  readonly before: number;
  readonly fanout: FanoutShare;
}

/** What the threads of a fan-out have in common. */
export interface FanoutShare {
  /** Of `SharedPublishes`. */
  readonly memory: SharedArrayBuffer;
  readonly window: number;
  /** Name of a broadcast channel. */
  readonly channel: string;
}

/** To a thread, in this order: one of each. */
export type LoadCommand =
  /** Begin to send. */
  | { readonly kind: "send" }
  /** The counted time begins. */
  | { readonly kind: "start" }
  /** The counted time is over: send no more. */
  | { readonly kind: "end" }
  /** Wait for replies that are missing. */
  | { readonly kind: "settle" }
  /** Report, and close the connections. */
  | { readonly kind: "finish" };

/** From a thread. */
export type LoadNotice =
  /** Now and then, while connections open and close. */
  | { readonly kind: "open"; readonly connections: number }
  /** Idle: a step is done. */
  | { readonly kind: "step"; readonly connections: number }
  /** Every connection is open or has failed. */
  | { readonly kind: "ready" }
  | { readonly kind: "started" }
  /** Twice a second while it sends. */
  | { readonly kind: "progress"; readonly received: number }
  | { readonly kind: "ended" }
  /** Nothing of what this thread sent is missing, or it is given up. Other threads' may still arrive here. */
  | { readonly kind: "settled" }
  /** The last. */
  | { readonly kind: "report"; readonly report: ThreadReport };

/** What one thread counted. */
export interface ThreadReport {
  /** In the counted time. */
  readonly sent: number;
  readonly received: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** In all the time. */
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

/** A histogram as it crosses threads, with what its buckets don't hold exactly. */
export interface ThreadHistogram {
  readonly counts: readonly Count[];
  readonly mean: number;
  readonly max: number;
}
