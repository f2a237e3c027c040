/** What the program `programs/echo.ts` takes and prints. */
import type { HandOverSettings } from "../../../src/board/takeover/predecessor.ts";

export type Step = "listen" | "stopAccepting" | "suspend" | "adopt" | "start" | "finish";

export interface EchoOptions {
  readonly path: string;
  readonly settings?: Partial<HandOverSettings>;
  /** Milliseconds of patience of the process that takes over. */
  readonly patienceMs?: number;
  readonly moves?: number | null;
  /** What the process does to itself in a step, once so many connections have passed the step. */
  readonly failure?: {
    readonly step: Step;
    readonly after?: number;
    /** `exhaust`: opens files until no descriptor is left. `block`: blocks its thread for good. */
    readonly how: "SIGKILL" | "SIGSTOP" | "throw" | "exhaust" | "block";
  };
}

/** A line of the program. */
export type EchoStory =
  | { readonly event: "listening"; readonly port: number; readonly connections: number }
  | { readonly event: "failing" }
  | { readonly event: "takenOver"; readonly connections: number; readonly predecessorDied: boolean }
  | { readonly event: "refused"; readonly code: string; readonly message: string }
  | {
      readonly event: "ended";
      readonly outcome: "handedOver" | "refused" | "failed";
      readonly connections: number;
      readonly isSilent: boolean;
      readonly code: string;
      readonly message: string;
    };
