import fc from "fast-check";
import { expect, it } from "vitest";
import { type NumberedTopic, PublishesUnderWay } from "../../../../src/runtime/engine/client/publishes-under-way.ts";
import type { EnginePublished } from "../../../../src/runtime/streams/engine.ts";

type Settled = PromiseSettledResult<EnginePublished>;

it("settles each publish by its serial, in whatever order and number they are acknowledged", async () => {
  const failure = { code: "ERR_ENGINE_FULL", message: "full" };
  const plan = fc.array(fc.record({ rank: fc.nat(), fails: fc.boolean(), part: fc.integer({ min: 1, max: 900 }) }), {
    minLength: 1_500,
    maxLength: 4_000,
  });
  await fc.assert(
    fc.asyncProperty(plan, async (publishes) => {
      let failures = 0;
      const underWay = new PublishesUnderWay(
        60_000,
        () => new Error("late"),
        () => failures++,
      );
      const topic: NumberedTopic = { number: 0, epoch: "e" };
      const promises = publishes.map(() => {
        const publish = Promise.withResolvers<EnginePublished>();
        underWay.add(topic, 10, publish);
        return publish.promise;
      });
      expect([underWay.size, underWay.bytes]).toEqual([publishes.length, publishes.length * 10]);
      const order = publishes.map((publish, serial) => ({ ...publish, serial })).sort((a, b) => a.rank - b.rank);
      for (let at = 0; at < order.length; at += order[at]?.part ?? 1) {
        const part = order.slice(at, at + (order[at]?.part ?? 1));
        const stored = part.filter(({ fails }) => !fails).map(({ serial }) => serial);
        underWay.acknowledge({
          kind: "acknowledged",
          serials: Float64Array.from(stored),
          offsets: Float64Array.from(stored, (serial) => serial + 1),
          epochs: [],
          failed: [{ error: failure as never, serials: part.filter(({ fails }) => fails).map(({ serial }) => serial) }],
        });
      }
      const results: Settled[] = await Promise.allSettled(promises);
      for (const [serial, result] of results.entries()) {
        if (publishes[serial]?.fails) expect(result).toMatchObject({ status: "rejected", reason: failure });
        else expect(result).toMatchObject({ value: { position: { epoch: "e", offset: serial + 1 } } });
      }
      expect([underWay.size, underWay.bytes]).toEqual([0, 0]);
      expect(failures).toBe(publishes.filter(({ fails }) => fails).length);
    }),
    { numRuns: 10 },
  );
});

it("rejects all that wait at the end, counts them, and goes on with the next serial", async () => {
  let failures = 0;
  const underWay = new PublishesUnderWay(
    60_000,
    () => new Error("late"),
    () => failures++,
  );
  const topic: NumberedTopic = { number: 0, epoch: "e" };
  // Nobody awaits these.
  for (let i = 0; i < 3; i++) underWay.add(topic, 10, Promise.withResolvers<EnginePublished>());
  underWay.add(topic, 10, undefined);
  underWay.end(new Error("gone"));
  expect([failures, underWay.size, underWay.bytes]).toEqual([3, 0, 0]);
  const publish = Promise.withResolvers<EnginePublished>();
  underWay.add(topic, 10, publish);
  underWay.end(new Error("gone again"));
  await expect(publish.promise).rejects.toThrow("gone again");
});
