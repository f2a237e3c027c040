/** The memory engine behind a gate: its answers come when the test says so, as those of an engine over a network do. */
import type { Engine, EngineOwner } from "../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";

export class GatedEngine {
  /** Calls that wait at the gate, by name. */
  readonly waiting: {
    readonly name: string;
    readonly args: readonly unknown[];
    readonly open: () => void;
    readonly fail: (error: Error) => void;
  }[] = [];
  /** Names of the calls that wait at the gate. Others pass. */
  readonly #gated: readonly (keyof Engine)[];
  /** True if calls take effect at once, and only their answers wait at the gate. */
  holdsAnswers = false;
  /** What the engine tells. */
  owner: EngineOwner | undefined;
  readonly engine: Engine;

  constructor(...gated: (keyof Engine)[]) {
    this.#gated = gated;
    const engine = createMemoryEngine({}, "node-1");
    this.engine = new Proxy(engine, {
      get: (target, name: keyof Engine) => {
        const member: unknown = target[name];
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          if (name === "start") this.owner = args[0] as EngineOwner;
          if (!this.#gated.includes(name)) return member.apply(target, args);
          const { promise, resolve, reject } = Promise.withResolvers<void>();
          this.waiting.push({ name, args, open: resolve, fail: reject });
          if (!this.holdsAnswers) return promise.then(() => member.apply(target, args));
          const answer: unknown = member.apply(target, args);
          return promise.then(() => answer);
        };
      },
    });
  }

  /** Lets the oldest call that waits pass. */
  open(): void {
    this.waiting.shift()?.open();
  }

  /** Lets the oldest call that waits fail. */
  fail(): void {
    this.waiting.shift()?.fail(new Error("the engine fails"));
  }
}
