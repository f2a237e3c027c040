/**
 * The memory engine with reports that come when the test says so: reads may be ahead of them, as those of Redis are.
 */
import type { Engine, EngineOwner } from "../../../src/runtime/streams/engine.ts";
import { createMemoryEngine } from "../../../src/runtime/streams/memory/memory-engine.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";

export class LateEngine {
  /** Publications, and what waits for them to be reported, in order. */
  #waiting: (() => void)[] = [];
  /** What the engine tells. */
  owner: EngineOwner | undefined;
  /** True if the engine can't tell whether everything was reported. */
  mayMiss = false;
  /** Called before each read of a history. */
  onRead: () => void = noop;
  readonly engine: Engine;

  constructor() {
    const engine = createMemoryEngine({}, "node-1");
    this.engine = new Proxy(engine, {
      get: (target, name: keyof Engine) => {
        if (name === "reported") return () => this.#reported();
        const member: unknown = target[name];
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          if (name === "history") this.onRead();
          if (name !== "start") return member.apply(target, args);
          this.owner = args[0] as EngineOwner;
          return member.call(target, this.#late(this.owner));
        };
      },
    });
  }

  #late(owner: EngineOwner): EngineOwner {
    return {
      ...owner,
      published: (...args) => void this.#waiting.push(() => owner.published(...args)),
      relayed: (...args) => void this.#waiting.push(() => owner.relayed(...args)),
    };
  }

  #reported(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const answer = (): void => resolve(!this.mayMiss);
    if (this.#waiting.length === 0) answer();
    else this.#waiting.push(answer);
    return promise;
  }

  /** True if something waits for reports. */
  get isWaitedFor(): boolean {
    return this.#waiting.length > 0;
  }

  /** Reports everything that waits. */
  report(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each();
  }
}
