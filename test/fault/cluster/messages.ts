/** What the boards and the clients of the cluster faults tell each other. */
import type { RedisOptions } from "../../../src/engines/redis/index.ts";
import type { PresenceMember, TopicsOption } from "../../../src/index.ts";
import type { Position } from "../../../src/runtime/streams/position.ts";

/** Text frames from a client to its actor. */
export type Order =
  | {
      readonly kind: "subscribe";
      readonly topic: string;
      readonly since: Position | undefined;
      readonly user: string | undefined;
    }
  | { readonly kind: "publish"; readonly topic: string; readonly text: string }
  | { readonly kind: "echo"; readonly text: string };

export interface Seen {
  readonly epoch: string;
  readonly offset: number;
  readonly text: string;
}

/** Text frames from an actor to its client. */
export type Answer =
  | ({ readonly kind: "publication"; readonly topic: string } & Seen)
  | {
      readonly kind: "subscribed";
      readonly topic: string;
      readonly wasRecovering: boolean;
      readonly recovered: boolean;
      readonly publications: readonly Seen[];
      readonly position: Position;
    }
  | { readonly kind: "refused"; readonly topic: string; readonly code: string }
  | { readonly kind: "lost"; readonly topic: string }
  | { readonly kind: "stored"; readonly text: string; readonly position: Position }
  | { readonly kind: "rejected"; readonly text: string; readonly code: string }
  | { readonly kind: "echo"; readonly text: string; readonly now: number };

/** Settings of a board in a process of its own. */
export interface BoardProgram {
  readonly redis: RedisOptions;
  readonly topics: TopicsOption;
}

/** Requests from the test to a board, over the channel between the processes. */
export type BoardCall =
  | { readonly name: "health" }
  | { readonly name: "stats" }
  | { readonly name: "killEngine" }
  | { readonly name: "history"; readonly topic: string }
  | { readonly name: "presence"; readonly topic: string };

export interface HistoryAnswer {
  readonly top: Position;
  readonly publications: readonly Seen[];
}

export type BoardMember = Pick<PresenceMember, "address" | "node" | "user">;

/** Messages from a board to the test. */
export type BoardNews =
  | { readonly kind: "listening"; readonly port: number }
  | { readonly kind: "event"; readonly name: BoardEvent; readonly text: string }
  | { readonly kind: "answer"; readonly id: number; readonly value: unknown };

/** Events of a board that the test gets. None but `engineUp` comes on a board without a fault. */
export const BOARD_EVENTS = [
  "engineDown",
  "engineUp",
  "engineLost",
  "engineFailed",
  "shardLost",
  "actorFailed",
] as const;
export type BoardEvent = (typeof BOARD_EVENTS)[number];

/** Name of the channel on which the engine's thread is told to end. */
export const KILL_ENGINE = "kill the engine";
