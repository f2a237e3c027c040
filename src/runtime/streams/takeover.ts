/** The part of an engine in a takeover, when a process gives its connections to another. `EngineTakeover` calls it. */

/** The messages that wait from a mark on: control messages that were sent with `waits`, or messages to topics. */
export type Waiting = "control" | "topics";

/**
 * Cuts in what other nodes publish: the places where an old process stops to report, and where a new process begins.
 * Both processes run an engine of their own, and listen to the same mark.
 */
export interface EngineCuts {
  /**
   * Listens to marks. What arrives after a mark isn't reported until `end`: messages to topics, or control messages
   * with `waits` to this node and to nodes that it answers for. Resolves when the marks can't be missed any more.
   */
  expect(mark: string): Promise<void>;
  /** Sends a mark, behind everything that this node has published. */
  send(mark: string, waiting: Waiting): Promise<void>;
  /** Resolves when the mark has arrived from everywhere; at once without `expect`. */
  arrived(waiting: Waiting): Promise<void>;
  /** Reports what has waited, in order, and everything from now on. Forgets the marks. */
  end(): void;
  /**
   * Takes control messages to other nodes as well, until the engine stops. The owner tells them apart by the addresses
   * in them. Resolves when such a message can't be missed any more.
   */
  answerFor(nodes: readonly string[]): Promise<void>;
}
