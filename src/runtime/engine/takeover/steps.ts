/** The messages of the main thread to the engine thread in a takeover, and the answers. */
import type { LeftBehind, Waiting } from "../../streams/takeover.ts";

/**
 * The engine that answers requests about streams and presence in a takeover:
 *
 * - `here`: the engine of this process.
 * - `elsewhere`: the engine of the other process.
 * - `nowhere`: all wait, because the state is on its way.
 * - `hereReadOnly`: the engine of this process answers reads; publishes wait.
 */
export type StatePlace = "here" | "elsewhere" | "nowhere" | "hereReadOnly";

/** One step. Both processes of a takeover make such steps, each with its own engine thread. */
export type TakeoverStep =
  /** Asks for the topics that this node wants. */
  | { readonly kind: "topics" }
  /** Listen to marks of this name: what others publish or send after a mark waits. */
  | { readonly kind: "expectMarks"; readonly mark: string }
  /** Want topics until `end`, for subscribers that are to come. */
  | { readonly kind: "keepTopics"; readonly topics: readonly string[] }
  /** Take control messages to other nodes, too. */
  | { readonly kind: "answerFor"; readonly nodes: readonly string[] }
  /** Send a mark, behind all that this node has published. The answer comes when the mark has arrived here. */
  | { readonly kind: "cut"; readonly mark: string; readonly waiting: Waiting }
  /** The answer comes when all marks have arrived. */
  | { readonly kind: "awaitMarks" }
  /** Report what has waited. */
  | { readonly kind: "end" }
  /** Asks for the format in which the engine gives what it keeps to another process. */
  | { readonly kind: "format" }
  /** Begin to give what the engine keeps. */
  | { readonly kind: "beginGiving" }
  /** Asks for the next piece. */
  | { readonly kind: "give" }
  /** Give nothing more. The answer tells what has stayed behind. */
  | { readonly kind: "endGiving" }
  /** Take a piece of the other process. */
  | { readonly kind: "take"; readonly piece: unknown }
  /** Everybody who has come has joined; or, if not complete, forget what was taken. Then answer everything here. */
  | { readonly kind: "taken"; readonly isComplete: boolean }
  /** Says who answers requests from now on, also those that wait. */
  | { readonly kind: "place"; readonly place: StatePlace };

/** The answer to each kind of step. */
export interface TakeoverAnswers {
  readonly topics: readonly string[];
  readonly expectMarks: undefined;
  readonly keepTopics: undefined;
  readonly answerFor: undefined;
  readonly cut: undefined;
  readonly awaitMarks: undefined;
  readonly end: undefined;
  /** Undefined for an engine that gives nothing. */
  readonly format: { readonly format: string } | undefined;
  readonly beginGiving: undefined;
  /** Undefined at the end of a round. */
  readonly give: { readonly piece: unknown } | undefined;
  readonly endGiving: LeftBehind | undefined;
  readonly take: undefined;
  readonly taken: undefined;
  readonly place: undefined;
}

/** Returns the bytes that a step counts for in what may be under way. */
export function stepBytes(step: TakeoverStep): number {
  return step.kind === "keepTopics" ? step.topics.reduce((sum, topic) => sum + 2 * topic.length, 0) : 0;
}
