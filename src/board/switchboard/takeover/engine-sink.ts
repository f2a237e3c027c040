/** The new board's engine in a takeover: takes what the old board's `EngineSource` gives. `BoardSink` has one. */
import type { BoardHub } from "../board-hub.ts";
import { engineStep } from "./engine-steps.ts";
import type { BoardLuggage } from "./luggage.ts";

type EngineLuggage = Extract<BoardLuggage, { readonly kind: "marks" | "topics" | "nodes" }>;

export class EngineSink {
  readonly #hub: BoardHub;
  #nodes: readonly string[] = [];

  constructor(hub: BoardHub) {
    this.#hub = hub;
  }

  /** Ids of the nodes in the addresses of the connections that come. */
  get nodes(): readonly string[] {
    return this.#nodes;
  }

  /** An engine that can't be reached doesn't stop the takeover. */
  async take(piece: EngineLuggage): Promise<void> {
    const { topics } = this.#hub;
    switch (piece.kind) {
      case "marks":
        await engineStep(topics, { kind: "expectMarks", mark: piece.mark });
        return;
      case "topics":
        await engineStep(topics, { kind: "keepTopics", topics: piece.topics });
        return;
      case "nodes":
        this.#nodes = piece.nodes;
        if (topics.isShared) await topics.answerFor(piece.nodes);
        return;
    }
  }

  /** Resolves when the old process gets nothing more of what the engine reports here. */
  async arrived(): Promise<void> {
    await engineStep(this.#hub.topics, { kind: "awaitMarks" });
  }

  /** All connections are here, and all their topics are known: what has waited for them is delivered. */
  async end(): Promise<void> {
    await engineStep(this.#hub.topics, { kind: "end" });
  }
}
