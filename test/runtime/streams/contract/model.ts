/**
 * A model of one stream, in the words of the rules that clients decide by, and a test that an engine does as the model
 * does. Part of `engine-contract.ts`.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Engine, HistoryLimits, HistoryRange } from "../../../../src/runtime/streams/engine.ts";
import { recover } from "../../../../src/runtime/streams/recovery.ts";
import { codePoint } from "../../../support/code-points.ts";
import { contentOf, type EngineUnderTest, offsetsOf, openCluster, say, span } from "./cluster.ts";

const MODEL_LIMITS: HistoryLimits = { size: 7, ttlMs: 1_000, metaTtlMs: 3_000 };

/** All that a stream is, without any of what makes one fast. */
class ModelStream {
  now = 0;
  top = 0;
  epoch: string | undefined;
  readonly pastEpochs: string[] = [];
  #list: { offset: number; text: string; expires: number }[] = [];
  #listExpires = 0;
  #metaExpires = 0;

  /** The stream as it is now, after all that has expired. */
  expire(): void {
    if (this.epoch !== undefined && this.now >= this.#metaExpires) {
      this.pastEpochs.push(this.epoch);
      this.epoch = undefined;
      this.top = 0;
      this.#list = [];
    }
    if (this.now >= this.#listExpires) this.#list = [];
  }

  /** Each publication and each read keeps the epoch and the top for longer. */
  touch(): void {
    this.#metaExpires = this.now + MODEL_LIMITS.metaTtlMs;
  }

  publish(text: string, expiresMs = Number.POSITIVE_INFINITY): void {
    this.#listExpires = this.now + MODEL_LIMITS.ttlMs;
    this.#list.push({ offset: ++this.top, text, expires: this.now + expiresMs });
    this.#list = this.#list.slice(-MODEL_LIMITS.size);
  }

  remove(): void {
    this.#list = [];
  }

  read({ since, limit, reverse = false }: HistoryRange): [number, string][] {
    const alive = this.#list.filter(({ expires }) => this.now < expires);
    const inRange = alive.filter(({ offset }) => (reverse ? offset < (since ?? Infinity) : offset > (since ?? 0)));
    return (reverse ? inRange.toReversed() : inRange).slice(0, limit).map(({ offset, text }) => [offset, text]);
  }

  /** Recovered: the epoch is right, and all that follows the position up to the top is there, none cut off. */
  recovered(epochMatches: boolean, since: number, limit: number): boolean {
    const read = this.read({ since, limit }).map(([offset]) => offset);
    const missed = span(since + 1, this.top);
    return epochMatches && since <= this.top && missed.every((offset) => read.includes(offset));
  }
}

type Step =
  | { readonly kind: "publish"; readonly text: string; readonly expiresMs: number | undefined }
  | { readonly kind: "remove" }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "read"; readonly range: HistoryRange }
  | {
      readonly kind: "resume";
      readonly since: number;
      readonly limit: number;
      readonly epoch: "own" | "none" | "past";
    };

const offset = fc.oneof({ weight: 9, arbitrary: fc.nat(20) }, fc.constant(Number.MAX_SAFE_INTEGER));
const limit = fc.oneof(fc.nat(10), fc.constant(1_000));

function steps(hasClock: boolean): fc.Arbitrary<Step[]> {
  const expiresMs = hasClock
    ? fc.option(fc.integer({ min: 1, max: 1_500 }), { nil: undefined })
    : fc.constant(undefined);
  const publish = fc.record({ text: fc.string({ unit: codePoint }), expiresMs });
  const read = fc.record({ since: fc.option(offset, { nil: undefined }), limit, reverse: fc.boolean() });
  const resume = { since: offset, limit, epoch: fc.constantFrom("own" as const, "none" as const, "past" as const) };
  const kinds: fc.WeightedArbitrary<Step>[] = [
    { weight: 8, arbitrary: publish.map((how) => ({ kind: "publish", ...how })) },
    { weight: 1, arbitrary: fc.constant({ kind: "remove" }) },
    { weight: 3, arbitrary: read.map((range) => ({ kind: "read", range })) },
    { weight: 3, arbitrary: fc.record(resume).map((how) => ({ kind: "resume", ...how })) },
  ];
  if (hasClock)
    kinds.push({ weight: 2, arbitrary: fc.integer({ min: 1, max: 4_000 }).map((ms) => ({ kind: "pass", ms })) });
  return fc.array(fc.oneof(...kinds), { maxLength: 60, size: "max" });
}

/** Does one step to both, and compares what they say. */
async function take(step: Step, model: ModelStream, engine: Engine, topic: string): Promise<void> {
  model.expire();
  if (step.kind !== "remove") model.touch();
  const read = async (range: HistoryRange) => {
    const result = await engine.history(topic, range, MODEL_LIMITS);
    model.epoch ??= result.top.epoch;
    expect(model.pastEpochs).not.toContain(model.epoch);
    expect(result.top).toEqual({ epoch: model.epoch, offset: model.top });
    return result;
  };
  switch (step.kind) {
    case "publish": {
      const { text, expiresMs } = step;
      const { position, duplicate } = await engine.publish(topic, say(text, { expiresMs }), MODEL_LIMITS);
      model.epoch ??= position.epoch;
      model.publish(text, expiresMs);
      expect(model.pastEpochs).not.toContain(model.epoch);
      expect({ position, duplicate }).toEqual({
        position: { epoch: model.epoch, offset: model.top },
        duplicate: false,
      });
      break;
    }
    case "remove":
      model.remove();
      await engine.removeHistory(topic, MODEL_LIMITS);
      break;
    case "read":
      expect(contentOf((await read(step.range)).records)).toEqual(
        model.read(step.range).map(([at, text]) => [at, Buffer.from(text).toString()]),
      );
      break;
    case "resume": {
      const result = await read({ since: step.since, limit: step.limit });
      const epochs = { own: result.top.epoch, none: "", past: model.pastEpochs.at(-1) ?? "never" };
      const recovery = recover({ epoch: epochs[step.epoch], offset: step.since }, result);
      expect(recovery.recovered).toBe(model.recovered(step.epoch !== "past", step.since, step.limit));
      expect(offsetsOf(recovery.records)).toEqual(recovery.recovered ? span(step.since + 1, model.top) : []);
    }
  }
}

export function describeModel(under: EngineUnderTest): void {
  const { hasClock, modelRuns } = under.traits;

  describe("a stream under random use", () => {
    it("does as the model does, and recovers exactly who can be recovered", { timeout: 300_000 }, async () => {
      const cluster = await openCluster(under);
      const { engine } = await cluster.start();
      let runs = 0;
      const property = fc.asyncProperty(steps(hasClock), async (taken) => {
        const topic = `run ${++runs}`;
        const model = new ModelStream();
        for (const step of taken) {
          if (step.kind === "pass") {
            model.now += step.ms;
            await cluster.pass(step.ms);
          } else {
            await take(step, model, engine, topic);
          }
        }
      });
      await fc.assert(property, { numRuns: modelRuns });
    });
  });
}
