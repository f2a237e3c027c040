/** The state that the new board's engine gets from the old board's engine. `BoardSink` has one. */
import type { StateRequest } from "../../../runtime/engine/messages.ts";
import type { StatePlace } from "../../../runtime/engine/takeover/steps.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import type { OtherProcess } from "../../takeover/messages.ts";
import type { BoardTopics } from "../board-topics.ts";

/**
 * Until everything has come, the old process answers for both. Then the engine here answers reads, and after `end` it
 * takes publishes.
 */
export class StateSink {
  readonly #topics: BoardTopics;
  /** Format of the pieces; undefined for an engine that takes nothing. */
  readonly format: string | undefined;
  #isAwaited = false;
  #isComplete = false;

  constructor(topics: BoardTopics, format: string | undefined) {
    this.#topics = topics;
    this.format = format;
  }

  /** Lets the old process answer, before the program can ask anything. */
  async await(other: OtherProcess): Promise<void> {
    if (this.format === undefined || this.format !== other.state || !this.#topics.isUp) return;
    this.#topics.elsewhere = other;
    this.#isAwaited = true;
    await this.#place("elsewhere");
  }

  /** Takes a piece. */
  async take(piece: unknown): Promise<void> {
    if (this.#isAwaited) await this.#topics.client?.takeover({ kind: "take", piece });
  }

  /** Everything is here, and connections follow. */
  async complete(): Promise<void> {
    if (!this.#isAwaited) return;
    this.#isComplete = true;
    await this.#place("hereReadOnly");
  }

  /**
   * All connections are here, and have joined. What was taken of a process that ended too early is forgotten. Never
   * rejects: an engine thread that has just died is replaced, and the connections go on.
   */
  async end(): Promise<void> {
    if (!this.#isAwaited) return;
    await this.#topics.client?.takeover({ kind: "taken", isComplete: this.#isComplete }).catch(noop);
  }

  /** Answers a request of the other process. */
  answer(question: unknown): Promise<unknown> {
    return this.#topics.answer(question as StateRequest);
  }

  async #place(place: StatePlace): Promise<void> {
    await this.#topics.client?.takeover({ kind: "place", place });
  }
}
