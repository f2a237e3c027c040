import { MessageChannel, type MessagePort } from "node:worker_threads";
import { expect, it, onTestFinished, vi } from "vitest";
import { type InterestChange, Link } from "../../../src/runtime/bus/link.ts";
import { EndOfTick } from "../../../src/runtime/scheduling/end-of-tick.ts";
import { FairScheduler } from "../../../src/runtime/scheduling/fair-scheduler.ts";
import { encodeFrame, encodeText, type Frame } from "../../../src/wire/protocol/frame.ts";
import { Opcode } from "../../../src/wire/protocol/opcode.ts";

/** One end of a link, with everything that it received. */
interface End {
  readonly link: Link;
  readonly interest: InterestChange[];
  readonly published: { readonly topicId: number; readonly frame: Buffer }[];
  readonly lags: number[];
  dirty: number;
  closed: number;
}

/** An end of the tick that comes when the test calls `flush`. */
class HeldEndOfTick extends EndOfTick {
  readonly #added: () => void;

  constructor(added: () => void) {
    super();
    this.#added = added;
  }

  override add(): void {
    this.#added();
  }
}

function end(port: MessagePort, interest: readonly InterestChange[] = []): End {
  const told: Omit<End, "link"> = { interest: [], published: [], lags: [], dirty: 0, closed: 0 };
  const link = new Link(
    port,
    1,
    interest,
    { turns: new FairScheduler(), endOfTick: new HeldEndOfTick(() => told.dirty++) },
    {
      interestChanged: (_link, changes) => told.interest.push(...changes),
      published: (topicId, { block, start, end }) =>
        told.published.push({ topicId, frame: block.subarray(start, end) }),
      batchArrived: (lagSeconds) => told.lags.push(lagSeconds),
      moveTold: () => {},
      linkClosed: () => told.closed++,
      linkEnded: () => {},
    },
  );
  onTestFinished(() => link.close());
  return Object.assign(told, { link });
}

function pair(interest: readonly InterestChange[] = []): { near: End; far: End } {
  const { port1, port2 } = new MessageChannel();
  return { near: end(port1), far: end(port2, interest) };
}

const add = (topic: string, id: number): InterestChange => ({ kind: "add", topic, id });
const remove = (topic: string): InterestChange => ({ kind: "remove", topic });
const bytesOf = ({ block, start, end }: Frame): Buffer => block.subarray(start, end);
const MEBIBYTE = 1024 * 1024;

it("is synced when the other side has sent all of its topics", async () => {
  const { near } = pair([add("news", 3), add("sport", 4)]);
  await near.link.synced;
  expect(near.interest).toEqual([add("news", 3), add("sport", 4)]);
});

it("is synced with a side that has no topics", async () => {
  const { near, far } = pair();
  await Promise.all([near.link.synced, far.link.synced]);
  expect(near.interest).toEqual([]);
});

it("sends changes of interest in order, and resolves when the other side has them", async () => {
  const { near, far } = pair();
  const known = [add("a", 1), remove("a"), add("a", 2)].map((change) => near.link.changeInterest(change));
  near.link.flush();
  await Promise.all(known);
  expect(far.interest).toEqual([add("a", 1), remove("a"), add("a", 2)]);
});

it("resolves a later change only when the other side has that change", async () => {
  const { near, far } = pair();
  const first = near.link.changeInterest(add("a", 1));
  near.link.flush();
  const second = near.link.changeInterest(add("b", 2));
  await first;
  expect(far.interest).toEqual([add("a", 1)]);
  near.link.flush();
  await second;
  expect(far.interest).toEqual([add("a", 1), add("b", 2)]);
});

it("requests one flush, however much is queued", () => {
  const { near } = pair();
  void near.link.changeInterest(add("a", 1));
  for (let i = 0; i < 10; i++) near.link.publish(1, encodeText("hello"));
  expect(near.dirty).toBe(1);
  near.link.flush();
  near.link.publish(1, encodeText("hello"));
  expect(near.dirty).toBe(2);
});

it("carries publishes in order", async () => {
  const { near, far } = pair();
  const frames = Array.from({ length: 1000 }, (_, i) => encodeText(`message ${i}`));
  for (const [i, frame] of frames.entries()) near.link.publish(i, frame);
  near.link.flush();
  await vi.waitFor(() => expect(far.published).toHaveLength(1000));
  expect(far.published).toEqual(frames.map((frame, topicId) => ({ topicId, frame: bytesOf(frame) })));
});

it("posts a batch that is full without waiting for the flush", async () => {
  const { near, far } = pair();
  const frame = encodeFrame(Opcode.binary, Buffer.alloc(40_000, 1));
  near.link.publish(1, frame);
  near.link.publish(2, frame);
  await vi.waitFor(() => expect(far.published).toHaveLength(2));
});

it("carries frames of several megabytes", async () => {
  const { near, far } = pair();
  const frames = [5, 1, 3].map((size) => encodeFrame(Opcode.binary, Buffer.alloc(size * MEBIBYTE, `${size}`)));
  for (const frame of frames) expect(near.link.publish(9, frame)).toBe(true);
  near.link.flush();
  await vi.waitFor(() => expect(far.published).toHaveLength(3));
  for (const [i, frame] of frames.entries()) expect(far.published[i]?.frame.equals(bytesOf(frame))).toBe(true);
});

it("drops publishes beyond 64 MiB in flight, and accepts publishes again when the other side has caught up", async () => {
  const { near, far } = pair();
  const frame = encodeFrame(Opcode.binary, Buffer.alloc(MEBIBYTE));
  const results = Array.from({ length: 80 }, () => near.link.publish(1, frame));
  const taken = results.filter((result) => result).length;
  expect(results.indexOf(false)).toBe(taken);
  expect(taken).toBeGreaterThanOrEqual(63);
  expect(taken).toBeLessThanOrEqual(65);

  await vi.waitFor(() => expect(far.published).toHaveLength(taken), { timeout: 20_000 });
  await vi.waitFor(() => expect(near.link.publish(1, frame)).toBe(true));
  await vi.waitFor(() => expect(far.published).toHaveLength(taken + 1));
});

it("accepts any number of publishes while the other side keeps up", async () => {
  const { near, far } = pair();
  const frame = encodeFrame(Opcode.binary, Buffer.alloc(4 * MEBIBYTE));
  let bytes = 0;
  for (let i = 1; i <= 40; i++) {
    expect(near.link.publish(1, frame)).toBe(true);
    await vi.waitFor(() => expect(far.published).toHaveLength(1));
    bytes += far.published.pop()?.frame.length ?? 0;
  }
  expect(bytes).toBeGreaterThan(160 * MEBIBYTE);
});

it("reports when the other side is gone, and resolves everything that waits for it", async () => {
  const { near, far } = pair();
  await near.link.synced;
  const known = near.link.changeInterest(add("a", 1));
  far.link.close();
  await known;
  await vi.waitFor(() => expect(near.closed).toBe(1));
  await near.link.changeInterest(add("b", 2));
});

it("is synced when the other side goes before it has sent its topics", async () => {
  const { port1, port2 } = new MessageChannel();
  const near = end(port1);
  port2.close();
  await near.link.synced;
  await vi.waitFor(() => expect(near.closed).toBe(1));
});
