/** The messages of the main thread to the engine thread in a takeover, and the answers. */

import type { Waiting } from "../../streams/takeover.ts";

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
  | { readonly kind: "end" };

/** The answer to each kind of step. */
export interface TakeoverAnswers {
  readonly topics: readonly string[];
  readonly expectMarks: undefined;
  readonly keepTopics: undefined;
  readonly answerFor: undefined;
  readonly cut: undefined;
  readonly awaitMarks: undefined;
  readonly end: undefined;
}

/** Returns the bytes that a step counts for in what may be under way. */
export function stepBytes(step: TakeoverStep): number {
  return step.kind === "keepTopics" ? step.topics.reduce((sum, topic) => sum + 2 * topic.length, 0) : 0;
}
