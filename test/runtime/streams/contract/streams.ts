/** The contract of streams: offsets, history, removal, expiry, idempotency. Part of `engine-contract.ts`. */
import { describe, expect, it } from "vitest";
import type { HistoryRange } from "../../../../src/runtime/streams/engine.ts";
import { MAX_EPOCH_LENGTH } from "../../../../src/runtime/streams/position.ts";
import { recover } from "../../../../src/runtime/streams/recovery.ts";
import { encodeFrame } from "../../../../src/wire/protocol/frame.ts";
import { Opcode } from "../../../../src/wire/protocol/opcode.ts";
import {
  ALL,
  contentOf,
  copyOf,
  type EngineUnderTest,
  LIMITS,
  offsetsOf,
  openCluster,
  say,
  sees,
  span,
  textOf,
} from "./cluster.ts";

/** 255 bytes of UTF-8, with what Redis, patterns and separators could trip over. */
const LONG_TOPICS = [
  "t".repeat(255),
  `${"🦒".repeat(63)}abc`,
  `room:{x}*?[a-c]\\ "'\n\r\t\0${"é".repeat(116)}`.padEnd(139, "~"),
];

export function describeStreams(under: EngineUnderTest): void {
  /** A time to expire after, in ms. Where time is real, it is long enough for two calls in a row to be done before. */
  const shortMs = under.traits.hasClock ? 300 : 2_000;

  describe("publish", () => {
    it("gives the offsets 1, 2, 3 within one epoch", async () => {
      const { engine } = await (await openCluster(under)).start();
      const results = [];
      for (const text of ["a", "b", "c"]) results.push(await engine.publish("t", say(text), LIMITS));
      expect(results.map(({ position }) => position.offset)).toEqual([1, 2, 3]);
      expect(results.map(({ duplicate }) => duplicate)).toEqual([false, false, false]);
      const epochs = new Set(results.map(({ position }) => position.epoch));
      expect(epochs.size).toBe(1);
      expect([...epochs][0]?.length).toBeGreaterThan(0);
      expect([...epochs][0]?.length).toBeLessThanOrEqual(MAX_EPOCH_LENGTH);
    });

    it("counts the offsets of each topic by themselves, in epochs of their own", async () => {
      const { engine } = await (await openCluster(under)).start();
      const one = await engine.publish("one", say("a"), LIMITS);
      const other = await engine.publish("other", say("b"), LIMITS);
      expect([one.position.offset, other.position.offset]).toEqual([1, 1]);
      expect(one.position.epoch).not.toBe(other.position.epoch);
    });

    it("keeps the order of the calls of one node, without waiting between them", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      const texts = span(1, 100).map((number) => `publication ${number}`);
      const results = await Promise.all(texts.map((text) => node.engine.publish("t", say(text), LIMITS)));
      expect(results.map(({ position }) => position.offset)).toEqual(span(1, 100));
      const { records } = await node.engine.history("t", ALL, LIMITS);
      expect(records.map(({ frame }) => textOf(frame))).toEqual(texts);
      await sees(node, "t", 100);
      expect(node.owner.offsets("t")).toEqual(span(1, 100));
    });

    it.each([0, 1, 125, 126, 65_535, 65_536, 1_048_576])("stores and reports %i bytes unchanged", async (length) => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      const payload = Buffer.alloc(length, "Grüße 🦒\r\n");
      for (const opcode of [Opcode.text, Opcode.binary] as const) {
        await node.engine.publish("t", { frame: encodeFrame(opcode, payload) }, LIMITS);
      }
      const frames = [Opcode.text, Opcode.binary].map((opcode) => copyOf(encodeFrame(opcode as Opcode, payload)));
      const { records } = await node.engine.history("t", ALL, LIMITS);
      await sees(node, "t", 2);
      for (const [index, frame] of frames.entries()) {
        // Without a diff of megabytes.
        expect(records[index] !== undefined && copyOf(records[index].frame).equals(frame)).toBe(true);
        expect(node.owner.publications[index]?.bytes.equals(frame)).toBe(true);
      }
    });

    it("stores every byte value unchanged", async () => {
      const { engine } = await (await openCluster(under)).start();
      const payload = Buffer.from(span(0, 255));
      await engine.publish("t", { frame: encodeFrame(Opcode.binary, payload) }, LIMITS);
      const { records } = await engine.history("t", ALL, LIMITS);
      expect(records.map(({ frame }) => copyOf(frame))).toEqual([copyOf(encodeFrame(Opcode.binary, payload))]);
    });

    it("keeps a frame that lies in the middle of a larger block, which changes later", async () => {
      const node = await (await openCluster(under)).start();
      const { engine, owner } = node;
      await engine.want("t");
      const whole = copyOf(encodeFrame(Opcode.text, Buffer.from("inside")));
      const block = Buffer.concat([Buffer.from("before"), whole, Buffer.from("after")]);
      await engine.publish("t", { frame: { block, start: 6, end: 6 + whole.length } }, LIMITS);
      await sees(node, "t", 1);
      // The publisher's memory is its own again.
      block.fill(0);
      expect(owner.publications.map(({ frame }) => textOf(frame))).toEqual(["inside"]);
      expect(contentOf((await engine.history("t", ALL, LIMITS)).records)).toEqual([[1, "inside"]]);
    });

    it.each(LONG_TOPICS)("takes the topic %j", async (topic) => {
      expect(Buffer.byteLength(topic)).toBeLessThanOrEqual(255);
      const node = await (await openCluster(under)).start();
      await node.engine.want(topic);
      await node.engine.publish(topic, say("a"), LIMITS);
      await node.engine.publish(topic.slice(0, -1), say("of another topic"), LIMITS);
      await node.engine.publish(topic, say("b", { idempotencyKey: topic }), LIMITS);
      await sees(node, topic, 2);
      expect(node.owner.publications.map((one) => [one.topic, one.offset])).toEqual([
        [topic, 1],
        [topic, 2],
      ]);
      expect(offsetsOf((await node.engine.history(topic, ALL, LIMITS)).records)).toEqual([1, 2]);
    });

    it("tells when it took a publication, the same in reports and in history", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      await node.engine.publish("t", say("a"), LIMITS);
      await node.engine.publish("t", say("b"), LIMITS);
      await sees(node, "t", 2);
      const times = (await node.engine.history("t", ALL, LIMITS)).records.map(({ timeMs }) => timeMs);
      expect(node.owner.publications.map(({ timeMs }) => timeMs)).toEqual(times);
      expect(times[1]).toBeGreaterThanOrEqual(times[0] as number);
      expect(Number.isInteger(times[0]) && Number(times[0]) > Date.UTC(2020)).toBe(true);
    });
  });

  describe("history", () => {
    it("creates the epoch of a stream that nobody has published to", async () => {
      const { engine } = await (await openCluster(under)).start();
      const { top, records } = await engine.history("t", ALL, LIMITS);
      expect(top.epoch).not.toBe("");
      expect([top.offset, records.length]).toEqual([0, 0]);
      expect((await engine.history("t", { limit: 0 }, LIMITS)).top).toEqual(top);
      const { position } = await engine.publish("t", say("a"), LIMITS);
      expect(position).toEqual({ epoch: top.epoch, offset: 1 });
    });

    it("keeps the newest publications, as many as the size says", async () => {
      const { engine } = await (await openCluster(under)).start();
      const limits = { ...LIMITS, size: 10 };
      for (const number of span(1, 25)) await engine.publish("t", say(`${number}`), limits);
      const { top, records } = await engine.history("t", ALL, limits);
      expect(top.offset).toBe(25);
      expect(contentOf(records)).toEqual(span(16, 25).map((number) => [number, `${number}`]));
    });

    it("keeps one publication of a stream of size 1", async () => {
      const { engine } = await (await openCluster(under)).start();
      const limits = { ...LIMITS, size: 1 };
      for (const number of span(1, 30)) {
        await engine.publish("t", say(`${number}`), limits);
        expect(contentOf((await engine.history("t", ALL, limits)).records)).toEqual([[number, `${number}`]]);
      }
    });

    const ranges: [HistoryRange, number[]][] = [
      [{ limit: 0 }, []],
      [{ limit: 3 }, [3, 4, 5]],
      [{ limit: 100 }, span(3, 12)],
      [{ limit: 100, since: 0 }, span(3, 12)],
      [{ limit: 2, since: 0 }, [3, 4]],
      [{ limit: 100, since: 2 }, span(3, 12)],
      [{ limit: 2, since: 5 }, [6, 7]],
      [{ limit: 100, since: 11 }, [12]],
      [{ limit: 100, since: 12 }, []],
      [{ limit: 100, since: 13 }, []],
      [{ limit: 100, since: Number.MAX_SAFE_INTEGER }, []],
      [{ limit: 0, since: 5 }, []],
      [{ limit: 0, reverse: true }, []],
      [{ limit: 3, reverse: true }, [12, 11, 10]],
      [{ limit: 100, reverse: true }, span(3, 12).toReversed()],
      [{ limit: 2, reverse: true, since: 6 }, [5, 4]],
      [{ limit: 100, reverse: true, since: 6 }, [5, 4, 3]],
      [{ limit: 100, reverse: true, since: 3 }, []],
      [{ limit: 100, reverse: true, since: 0 }, []],
      [{ limit: 2, reverse: true, since: 13 }, [12, 11]],
      [{ limit: 2, reverse: true, since: Number.MAX_SAFE_INTEGER }, [12, 11]],
    ];
    it.each(ranges)("reads %o of the offsets 3 to 12 as %j", async (range, expected) => {
      const { engine } = await (await openCluster(under)).start();
      const limits = { ...LIMITS, size: 10 };
      for (const number of span(1, 12)) await engine.publish("t", say(`${number}`), limits);
      const { top, records } = await engine.history("t", range, limits);
      expect(top.offset).toBe(12);
      expect(contentOf(records)).toEqual(expected.map((offset) => [offset, `${offset}`]));
    });

    it("can be read page by page, in both directions, while others publish", async () => {
      const { engine } = await (await openCluster(under)).start();
      for (const number of span(1, 50)) await engine.publish("t", say(`${number}`), LIMITS);
      const read = async (reverse: boolean): Promise<number[]> => {
        const seen: number[] = [];
        let since: number | undefined;
        for (;;) {
          const { records } = await engine.history("t", { limit: 7, since, reverse }, LIMITS);
          if (records.length === 0) return seen;
          seen.push(...offsetsOf(records));
          since = seen.at(-1);
          if (seen.length < 30) await engine.publish("t", say("more"), LIMITS);
        }
      };
      const backward = await read(true);
      expect(backward).toEqual(span(1, 50).toReversed());
      const { top } = await engine.history("t", { limit: 0 }, LIMITS);
      const forward = await read(false);
      expect(forward).toEqual(span(1, forward.length));
      expect(forward.length).toBeGreaterThanOrEqual(top.offset);
    });

    it("hands out frames that stay unchanged while the stream goes on", async () => {
      const { engine } = await (await openCluster(under)).start();
      const limits = { ...LIMITS, size: 5 };
      for (const number of span(1, 5)) await engine.publish("t", say(`old ${number}`), limits);
      const { records } = await engine.history("t", ALL, limits);
      for (const number of span(6, 100)) await engine.publish("t", say(`new ${number}`), limits);
      expect(contentOf(records)).toEqual(span(1, 5).map((number) => [number, `old ${number}`]));
    });
  });

  describe("removeHistory", () => {
    it("removes the publications, and keeps the epoch and the top", async () => {
      const { engine } = await (await openCluster(under)).start();
      for (const text of ["a", "b", "c"]) await engine.publish("t", say(text), LIMITS);
      const before = await engine.history("t", ALL, LIMITS);
      await engine.removeHistory("t", LIMITS);
      const after = await engine.history("t", ALL, LIMITS);
      expect(after).toEqual({ top: before.top, records: [] });
      // Who has seen everything is recovered; who hasn't is told.
      expect(recover(before.top, after).recovered).toBe(true);
      expect(recover({ ...before.top, offset: 2 }, after).recovered).toBe(false);
      const { position } = await engine.publish("t", say("d"), LIMITS);
      expect(position).toEqual({ epoch: before.top.epoch, offset: 4 });
      expect(contentOf((await engine.history("t", ALL, LIMITS)).records)).toEqual([[4, "d"]]);
    });

    it("does no harm to a stream that isn't there", async () => {
      const { engine } = await (await openCluster(under)).start();
      await engine.removeHistory("t", LIMITS);
      expect((await engine.history("t", ALL, LIMITS)).top.offset).toBe(0);
    });
  });

  describe("expiry", () => {
    it("drops the whole list after its time, and keeps the epoch and the top", async () => {
      const cluster = await openCluster(under);
      const { engine } = await cluster.start();
      const limits = { ...LIMITS, ttlMs: 300 };
      for (const text of ["a", "b", "c"]) await engine.publish("t", say(text), limits);
      const { top } = await engine.history("t", { limit: 0 }, limits);
      await cluster.pass(600);
      expect(await engine.history("t", ALL, limits)).toEqual({ top, records: [] });
      expect((await engine.publish("t", say("d"), limits)).position).toEqual({ ...top, offset: 4 });
    });

    it("counts the time of the list from the last publication", async () => {
      const cluster = await openCluster(under);
      const { engine } = await cluster.start();
      const limits = { ...LIMITS, ttlMs: 60_000 };
      await engine.publish("t", say("a"), { ...limits, ttlMs: shortMs });
      await engine.publish("t", say("b"), limits);
      await cluster.pass(2 * shortMs);
      expect(offsetsOf((await engine.history("t", ALL, limits)).records)).toEqual([1, 2]);
    });

    it("begins another epoch at offset 1 after the meta's time", async () => {
      const cluster = await openCluster(under);
      const { engine } = await cluster.start();
      const limits = { ...LIMITS, ttlMs: 200, metaTtlMs: 300 };
      const { position } = await engine.publish("t", say("a"), limits);
      await cluster.pass(600);
      const read = await engine.history("t", ALL, limits);
      expect(read.records).toEqual([]);
      expect(read.top.offset).toBe(0);
      expect(read.top.epoch).not.toBe(position.epoch);
      expect(recover(position, read).recovered).toBe(false);
      await cluster.pass(600);
      const next = await engine.publish("t", say("b"), limits);
      expect(next.position.offset).toBe(1);
      expect([position.epoch, read.top.epoch]).not.toContain(next.position.epoch);
    });

    it("counts the time of the meta from the last read, too", async () => {
      const cluster = await openCluster(under);
      const { engine } = await cluster.start();
      const { position } = await engine.publish("t", say("a"), { ...LIMITS, ttlMs: shortMs, metaTtlMs: shortMs });
      await engine.history("t", { limit: 0 }, LIMITS);
      await cluster.pass(2 * shortMs);
      expect((await engine.history("t", { limit: 0 }, LIMITS)).top).toEqual(position);
    });

    it("hands out no publication after its own time, and recovery over it fails", async () => {
      const cluster = await openCluster(under);
      const { engine } = await cluster.start();
      await engine.publish("t", say("a"), LIMITS);
      await engine.publish("t", say("b", { expiresMs: 300 }), LIMITS);
      await engine.publish("t", say("c", { expiresMs: 600_000 }), LIMITS);
      await cluster.pass(600);
      const read = await engine.history("t", ALL, LIMITS);
      expect(contentOf(read.records)).toEqual([
        [1, "a"],
        [3, "c"],
      ]);
      const backward = await engine.history("t", { ...ALL, reverse: true }, LIMITS);
      expect(offsetsOf(backward.records)).toEqual([3, 1]);
      const since = async (offset: number): Promise<boolean> =>
        recover({ epoch: "", offset }, await engine.history("t", { ...ALL, since: offset }, LIMITS)).recovered;
      expect([await since(0), await since(1), await since(2), await since(3)]).toEqual([false, false, true, true]);
    });

    it("fills a page with publications that are alive", async () => {
      const cluster = await openCluster(under);
      const { engine } = await cluster.start();
      for (const number of span(1, 20)) {
        await engine.publish("t", say(`${number}`, number % 2 === 0 ? { expiresMs: 300 } : {}), LIMITS);
      }
      await cluster.pass(600);
      const { records } = await engine.history("t", { limit: 3, since: 1 }, LIMITS);
      expect(offsetsOf(records)).toEqual([3, 5, 7]);
    });
  });

  describe("idempotency", () => {
    it("gives a second publish with a key the position of the first, and publishes nothing", async () => {
      const node = await (await openCluster(under)).start();
      const { engine } = node;
      await engine.want("t");
      const first = await engine.publish("t", say("a", { idempotencyKey: "key" }), LIMITS);
      await engine.publish("t", say("b"), LIMITS);
      const second = await engine.publish("t", say("a again", { idempotencyKey: "key" }), LIMITS);
      expect(second).toEqual({ position: first.position, duplicate: true });
      await engine.publish("t", say("c"), LIMITS);
      await sees(node, "t", 3);
      expect(node.owner.offsets("t")).toEqual([1, 2, 3]);
      expect(offsetsOf((await engine.history("t", ALL, LIMITS)).records)).toEqual([1, 2, 3]);
    });

    it("publishes once when ten with one key come at the same instant", async () => {
      const node = await (await openCluster(under)).start();
      await node.engine.want("t");
      const publish = say("a", { idempotencyKey: "key" });
      const results = await Promise.all(span(1, 10).map(() => node.engine.publish("t", publish, LIMITS)));
      expect(results.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
      expect(new Set(results.map(({ position }) => JSON.stringify(position))).size).toBe(1);
      await node.engine.publish("t", say("b"), LIMITS);
      await sees(node, "t", 2);
      expect(node.owner.offsets("t")).toEqual([1, 2]);
    });

    it("holds a key for its topic only", async () => {
      const { engine } = await (await openCluster(under)).start();
      const pairs = [
        ["a", "bc"],
        ["ab", "c"],
        ["a:b", "c"],
        ["a", "b:c"],
        ["a", "__proto__"],
      ] as const;
      for (const [topic, idempotencyKey] of pairs) {
        expect((await engine.publish(topic, say("x", { idempotencyKey }), LIMITS)).duplicate).toBe(false);
      }
    });

    it("knows a key after removeHistory", async () => {
      const { engine } = await (await openCluster(under)).start();
      const { position } = await engine.publish("t", say("a", { idempotencyKey: "key" }), LIMITS);
      await engine.removeHistory("t", LIMITS);
      const second = await engine.publish("t", say("a", { idempotencyKey: "key" }), LIMITS);
      expect(second).toEqual({ position, duplicate: true });
    });
  });
}
