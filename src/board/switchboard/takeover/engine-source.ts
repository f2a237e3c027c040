/** The old board's engine in a takeover: what of it goes along, and where this process stops. `BoardSource` has one. */
import type { Waiting } from "../../../runtime/streams/takeover.ts";
import { builtins } from "../../../wire/node-internals/builtins.ts";
import type { BoardTopics } from "../board-topics.ts";
import { engineStep } from "./engine-steps.ts";
import { TOPICS_IN_MESSAGE } from "./limits.ts";
import type { BoardLuggage } from "./luggage.ts";

/**
 * With an engine that other nodes share, both processes want the same topics, take control messages to the same nodes,
 * and listen to the same marks. What comes before a mark is the old process's, what comes after it the new one's.
 * Without an engine that can be reached there are no marks, and what others publish meanwhile is lost, as it is for
 * everybody else.
 */
export class EngineSource {
  readonly #topics: BoardTopics;
  /** Another one for each attempt. */
  #mark = "";
  /** Topics that the new process wants already. */
  #given = new Set<string>();
  #isMarked = false;

  constructor(topics: BoardTopics) {
    this.#topics = topics;
  }

  /** Yields the luggage that may go while this process still serves all connections. */
  async *prepare(): AsyncGenerator<BoardLuggage> {
    this.#mark = builtins.crypto.randomBytes(9).toString("base64url");
    const marked = await engineStep(this.#topics, { kind: "expectMarks", mark: this.#mark });
    if (marked === undefined) return;
    this.#isMarked = true;
    yield { kind: "marks", mark: this.#mark };
    yield* this.newTopics();
  }

  /** Topics that connections have subscribed to since. */
  async *newTopics(): AsyncGenerator<BoardLuggage> {
    if (!this.#isMarked) return;
    const all = await engineStep(this.#topics, { kind: "topics" });
    const topics = all?.answer.filter((topic) => !this.#given.has(topic)) ?? [];
    for (let at = 0; at < topics.length; at += TOPICS_IN_MESSAGE) {
      const some = topics.slice(at, at + TOPICS_IN_MESSAGE);
      yield { kind: "topics", topics: some };
      for (const topic of some) this.#given.add(topic);
    }
  }

  /** Resolves when the engine reports nothing more of this kind that comes from another node. */
  async cut(waiting: Waiting): Promise<void> {
    if (this.#isMarked) await engineStep(this.#topics, { kind: "cut", mark: this.#mark, waiting });
  }

  /** The takeover is over, whatever came of it: what the engine has kept goes to who is here. */
  async end(): Promise<void> {
    if (!this.#isMarked) return;
    this.#isMarked = false;
    this.#given = new Set();
    await engineStep(this.#topics, { kind: "end" });
  }
}
