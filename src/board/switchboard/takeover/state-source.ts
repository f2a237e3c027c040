/**
 * The state of the old board's engine (streams, idempotency keys, presence), on its way to the new board's engine.
 * `BoardSource` has one.
 */
import type { StateRequest } from "../../../runtime/engine/messages.ts";
import type { StatePlace } from "../../../runtime/engine/takeover/steps.ts";
import type { LeftBehind } from "../../../runtime/streams/takeover.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import type { OtherProcess } from "../../takeover/messages.ts";
import type { BoardTopics } from "../board-topics.ts";
import { MAX_ROUNDS_AHEAD } from "./limits.ts";
import type { BoardLuggage } from "./luggage.ts";

/**
 * Only an engine whose memory ends with its process gives anything. Everybody is served while almost everything goes.
 * Requests wait from `close` on. They are made in the new process, or here after a failure.
 */
export class StateSource {
  readonly #topics: BoardTopics;
  /** Format of the pieces; undefined for an engine that gives nothing. */
  readonly format: string | undefined;
  #isGiving = false;
  #isClosed = false;

  constructor(topics: BoardTopics, format: string | undefined) {
    this.#topics = topics;
    this.format = format;
  }

  /** Gives what there is, while everybody is served: in rounds, until little changes meanwhile. */
  async *ahead(other: OtherProcess): AsyncGenerator<BoardLuggage> {
    if (this.format === undefined || this.format !== other.state || !this.#topics.isUp) return;
    await this.#topics.client?.takeover({ kind: "beginGiving" });
    this.#topics.elsewhere = other;
    this.#isGiving = true;
    for (let round = 0, pieces = 2; round < MAX_ROUNDS_AHEAD && pieces > 1; round++) {
      pieces = 0;
      for await (const piece of this.#round()) {
        pieces++;
        yield piece;
      }
    }
  }

  /** Gives what has changed since, while everybody is still served. */
  async *catchUp(): AsyncGenerator<BoardLuggage> {
    if (this.#isGiving) yield* this.#round();
  }

  /** Lets requests wait from now on. */
  async close(): Promise<void> {
    if (!this.#isGiving) return;
    this.#isClosed = true;
    await this.#place("nowhere");
  }

  /** Gives the rest. Nothing changes any more. */
  async *rest(): AsyncGenerator<BoardLuggage> {
    if (!this.#isGiving) return;
    yield* this.#round();
    yield { kind: "stateComplete" };
  }

  /** The takeover has failed: everything goes on here. */
  async goOn(): Promise<void> {
    await this.#end();
    if (this.#isClosed) await this.#place("here").catch(noop);
    this.#isClosed = false;
  }

  /** Everything is in the other process, which answers what has waited, and all that is asked here from now on. */
  async handedOver(): Promise<LeftBehind | undefined> {
    const left = await this.#end();
    if (this.#isClosed) await this.#place("elsewhere").catch(noop);
    return left;
  }

  /** Answers a request of the other process. */
  answer(question: unknown): Promise<unknown> {
    return this.#topics.answer(question as StateRequest);
  }

  /** While one piece is on its way, the engine makes the next. */
  async *#round(): AsyncGenerator<BoardLuggage> {
    for (let next = this.#give(); ; ) {
      const given = await next;
      if (given === undefined) return;
      next = this.#give();
      yield { kind: "state", piece: given.piece };
    }
  }

  #give(): Promise<{ readonly piece: unknown } | undefined> {
    const given = this.#topics.client?.takeover({ kind: "give" }) ?? Promise.resolve(undefined);
    // Nobody may be left to await the piece after a failure.
    given.catch(noop);
    return given;
  }

  async #end(): Promise<LeftBehind | undefined> {
    if (!this.#isGiving) return undefined;
    this.#isGiving = false;
    return this.#topics.client?.takeover({ kind: "endGiving" }).catch(noop) as Promise<LeftBehind | undefined>;
  }

  async #place(place: StatePlace): Promise<void> {
    await this.#topics.client?.takeover({ kind: "place", place });
  }
}
