/** The engine thread's part of a takeover: the steps of `steps.ts`, as calls of the engine. `EngineHost` has one. */
import type { Engine } from "../../streams/engine.ts";
import type { StateGate } from "./state-gate.ts";
import type { TakeoverAnswers, TakeoverStep } from "./steps.ts";

/** The part of the host that a takeover uses. */
export interface TakeoverHost {
  readonly engine: Engine;
  /** Names of the topics that are wanted. */
  topicNames(): readonly string[];
  /** Wants a topic, also while no client does. Resolves when everything that is published arrives. */
  keepTopic(name: string): Promise<void>;
  /** Ends what `keepTopic` began. */
  letGoOfTopic(name: string): void;
  /** The gate that decides who answers requests. */
  readonly gate: StateGate;
}

export class EngineTakeover {
  readonly #host: TakeoverHost;
  readonly #kept = new Set<string>();

  constructor(host: TakeoverHost) {
    this.#host = host;
  }

  /** Rejects with the engine's error. */
  async do(step: TakeoverStep): Promise<TakeoverAnswers[TakeoverStep["kind"]]> {
    const { engine, gate } = this.#host;
    const { cuts, transfer } = engine;
    switch (step.kind) {
      case "topics":
        return this.#host.topicNames();
      case "expectMarks":
        await cuts?.expect(step.mark);
        return undefined;
      case "keepTopics":
        await Promise.all(step.topics.map((topic) => this.#keep(topic)));
        return undefined;
      case "answerFor":
        await cuts?.answerFor(step.nodes);
        return undefined;
      case "cut":
        await cuts?.send(step.mark, step.waiting);
        await cuts?.arrived(step.waiting);
        return undefined;
      case "awaitMarks":
        await Promise.all([cuts?.arrived("control"), cuts?.arrived("topics")]);
        return undefined;
      case "end":
        this.#end();
        return undefined;
      case "format":
        return transfer && { format: transfer.format };
      case "beginGiving":
        await transfer?.begin();
        return undefined;
      case "give": {
        const piece = await transfer?.give();
        return piece === undefined ? undefined : { piece };
      }
      case "endGiving":
        return transfer?.end();
      case "take":
        await transfer?.take(step.piece);
        return undefined;
      case "taken":
        try {
          await transfer?.taken(step.isComplete);
        } finally {
          gate.set("here");
        }
        return undefined;
      case "place":
        gate.set(step.place);
        return undefined;
    }
  }

  #keep(topic: string): Promise<void> {
    this.#kept.add(topic);
    return this.#host.keepTopic(topic);
  }

  #end(): void {
    this.#host.engine.cuts?.end();
    for (const topic of this.#kept) this.#host.letGoOfTopic(topic);
    this.#kept.clear();
  }
}
