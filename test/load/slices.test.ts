import { expect, it } from "vitest";
import type { LoadEvent, SliceCommand } from "../../src/load/run.ts";
import { echo, forward, load, serve } from "./running.ts";

/** Makes slices, each of which ends when the server has received another ten messages. */
class Slices {
  /** Number of messages that the server has received. */
  received = 0;
  /** The same when each slice ended, and when the next began. */
  readonly counts: number[] = [];
  #change = Promise.withResolvers<void>();

  count(): void {
    this.received++;
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  async *commands(slices: number): AsyncGenerator<SliceCommand> {
    for (let i = 0; i < slices; i++) {
      this.counts.push(this.received);
      yield "go";
      for (const enough = this.received + 10; this.received < enough; ) await this.#change.promise;
      yield "stop";
      this.counts.push(this.received);
    }
  }
}

const sliceReports = (events: readonly LoadEvent[]) => events.filter((event) => event.event === "slice");

it.each([
  { scenario: "echo", inflight: 1 },
  { scenario: "echo", inflight: 16, threads: 2 },
  { scenario: "echo", rate: 2000 },
  { scenario: "storm", connections: 3, threads: 2 },
] as const)(
  "each slice of %j counts what the server received in it, and nothing is sent between them",
  async (settings) => {
    const slices = new Slices();
    const url = await serve((socket, data, binary) => {
      slices.count();
      echo(socket, data, binary);
    });
    const run = await load(url, settings, undefined, slices.commands(3));
    const reports = sliceReports(run.events);
    expect(reports).toHaveLength(3);
    const { counts } = slices;
    for (const [i, { messages, latency, seconds }] of reports.entries()) {
      // A storm opens one connection before the first slice, to see whether the server accepts any.
      expect(messages).toMatchObject({ received: (counts[2 * i + 1] ?? 0) - (counts[2 * i] ?? 0), lost: 0, wrong: 0 });
      expect(latency.counts.reduce((sum, [, count]) => sum + count, 0)).toBe(messages.received);
      expect(seconds).toBeGreaterThan(0);
    }
    expect(counts.slice(1, -1).filter((count, i) => i % 2 === 0 && count !== counts[i + 2])).toEqual([]);
    expect(run.errors).toEqual([]);
  },
);

it("waits in each slice of a fan-out for all deliveries", async () => {
  const slices = new Slices();
  const url = await serve((...message) => {
    slices.count();
    forward(...message);
  });
  const settings = { scenario: "fanout", connections: 5, publishers: 2, inflight: 4, threads: 2 } as const;
  const run = await load(url, settings, undefined, slices.commands(2));
  const reports = sliceReports(run.events);
  expect(reports).toHaveLength(2);
  for (const { messages } of reports) {
    expect(messages.received).toBe(4 * messages.sent);
    expect(messages).toMatchObject({ lost: 0, wrong: 0 });
  }
  expect(reports.reduce((sum, { messages }) => sum + messages.sent, 0)).toBe(slices.received);
});

it("reports a wrong reply in its slice", async () => {
  const slices = new Slices();
  const url = await serve((socket, data, binary, number) => {
    slices.count();
    if (number === 1) data[data.length - 1] = (data.at(-1) ?? 0) ^ 1;
    echo(socket, data, binary);
  });
  const run = await load(url, {}, undefined, slices.commands(1));
  expect(sliceReports(run.events)).toMatchObject([{ messages: { wrong: 4 } }]);
});
