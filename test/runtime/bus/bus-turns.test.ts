import { setImmediate as turn } from "node:timers/promises";
import { MessageChannel } from "node:worker_threads";
import { expect, it, onTestFinished, vi } from "vitest";
import { Bus } from "../../../src/runtime/bus/bus.ts";
import { FairScheduler, TURN_MS } from "../../../src/runtime/scheduling/fair-scheduler.ts";
import { encodeFrame, encodeText, type Frame } from "../../../src/wire/protocol/frame.ts";
import { Opcode } from "../../../src/wire/protocol/opcode.ts";

/** Publishers in other threads of a bus, and a receiver whose subscriber takes `takesMs` for each publish. */
async function setUp(publishers: number, takesMs: number) {
  let now = 0;
  const turns = new FairScheduler(() => now);
  const receiver = new Bus({ publishDropped() {} }, { turns });
  const texts: string[] = [];
  let inThisTurn = 0;
  let most = 0;
  const deliver = ({ block, start, end }: Frame) => {
    now += takesMs;
    if (end - start < 1_000) texts.push(block.toString("utf8", start + 2, end));
    if (inThisTurn++ === 0) setImmediate(endTurn);
    return "sent" as const;
  };
  const endTurn = (): void => {
    most = Math.max(most, inThisTurn);
    inThisTurn = 0;
  };
  const dropped: number[] = [];
  const buses = await Promise.all(
    Array.from({ length: publishers }, async (_, i) => {
      dropped[i] = 0;
      const publishDropped = () => dropped.splice(i, 1, (dropped[i] as number) + 1);
      const bus = new Bus({ publishDropped });
      const { port1, port2 } = new MessageChannel();
      await Promise.all([bus.addLink(port1), receiver.addLink(port2)]);
      onTestFinished(() => bus.close());
      return bus;
    }),
  );
  onTestFinished(() => receiver.close());
  await receiver.subscribe("news", { deliver });
  return { buses, texts, dropped, most: () => Math.max(most, inThisTurn) };
}

it("delivers a large batch over several turns, in order", async () => {
  const { buses, texts, most } = await setUp(1, TURN_MS / 8);
  const sent = Array.from({ length: 2_000 }, (_, i) => `${i}`);
  for (const text of sent) buses[0]?.publish("news", encodeText(text));
  await vi.waitFor(() => expect(texts).toHaveLength(sent.length));
  expect(texts).toEqual(sent);
  // One turn delivers at most these frames: those before the first look at the clock, on arrival and again in the turn.
  expect(most()).toBeLessThanOrEqual(4 * 64);
});

it("keeps the order of each publisher when all publishers have to wait", async () => {
  const { buses, texts } = await setUp(3, TURN_MS);
  const numbers = Array.from({ length: 300 }, (_, i) => i);
  for (const number of numbers) {
    for (const [i, bus] of buses.entries()) bus.publish("news", encodeText(`${i}: ${number}`));
    if (number % 50 === 0) await turn();
  }
  await vi.waitFor(() => expect(texts).toHaveLength(3 * numbers.length));
  for (const i of [0, 1, 2]) {
    expect(texts.filter((text) => text.startsWith(`${i}: `))).toEqual(numbers.map((number) => `${i}: ${number}`));
  }
});

it("counts publishes that wait for their turn as on their way", async () => {
  const { buses, texts, dropped } = await setUp(1, TURN_MS);
  const [bus] = buses as [Bus];
  const frame = encodeFrame(Opcode.binary, Buffer.alloc(1024 * 1024));
  for (let i = 0; i < 80; i++) bus.publish("news", frame);
  const refused = dropped[0] as number;
  expect(refused).toBeGreaterThan(10);
  bus.publish("news", encodeText("refused"));
  expect(dropped[0]).toBe(refused + 1);
  await vi.waitFor(
    () => {
      const before = dropped[0];
      bus.publish("news", encodeText("again"));
      expect(dropped[0]).toBe(before);
    },
    { timeout: 20_000 },
  );
  await vi.waitFor(() => expect(texts).toEqual(["again"]));
});
