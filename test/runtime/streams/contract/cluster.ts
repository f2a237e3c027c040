/** What the contract suite knows of an engine under test: how its nodes are made, how time passes, what they report. */
import { onTestFinished, vi } from "vitest";
import type {
  Engine,
  EngineHealth,
  EngineOwner,
  EnginePublish,
  HistoryLimits,
  PresenceChange,
} from "../../../../src/runtime/streams/engine.ts";
import type { Maybe } from "../../../../src/runtime/streams/maybe.ts";
import type { StreamRecord } from "../../../../src/runtime/streams/publication.ts";
import { encodeText, type Frame, payloadStart } from "../../../../src/wire/protocol/frame.ts";

/** The engines of one test. All its nodes work together; nothing is shared with another cluster. */
export interface Cluster {
  /** Creates the engine object of a node. The suite starts it. */
  create(node: string): Maybe<Engine>;
  /** Lets time pass for the engine: moves its clock, or waits. Resolves after at least `ms`. */
  pass(ms: number): Promise<void>;
  /** Ends a node as `kill -9` does, without `stop`. Needed for engines that are shared. */
  kill?(engine: Engine): Maybe<void>;
  /** Frees what the cluster used. Called after `stop` of every engine that lives. */
  close(): Maybe<void>;
}

export interface EngineTraits {
  /** Value of `isShared`. True adds the tests with two nodes. */
  readonly isShared: boolean;
  /** True if `pass` moves a clock, by exactly the time asked for, and nothing else does. Model tests then use time. */
  readonly hasClock: boolean;
  /** Number of runs of the model test. */
  readonly modelRuns: number;
}

export interface EngineUnderTest {
  readonly name: string;
  readonly traits: EngineTraits;
  readonly create: () => Maybe<Cluster>;
}

/** A publication, as the owner of an engine saw it. */
export interface Reported {
  readonly topic: string;
  readonly epoch: string;
  readonly offset: number;
  readonly timeMs: number;
  /** Copy of the frame, made when it was reported. */
  readonly bytes: Buffer;
  readonly frame: Frame;
}

/** An owner that writes down every call. */
export class RecordingOwner implements EngineOwner {
  readonly publications: Reported[] = [];
  /** Offsets of publications, texts of messages without an offset, and interruptions, in the order of the calls. */
  readonly order: (number | string)[] = [];
  readonly relays: { readonly topic: string; readonly bytes: Buffer }[] = [];
  readonly changes: PresenceChange[] = [];
  readonly healths: EngineHealth[] = [];
  readonly controls: { readonly from: string; readonly message: string }[] = [];
  readonly nodes: { readonly id: string; readonly facts: string | undefined }[] = [];
  doubts = 0;

  published(topic: string, epoch: string, { offset, timeMs, frame }: StreamRecord): void {
    this.order.push(offset);
    this.publications.push({ topic, epoch, offset, timeMs, bytes: copyOf(frame), frame });
  }

  relayed(topic: string, frame: Frame): void {
    this.order.push(copyOf(frame).subarray(2).toString());
    this.relays.push({ topic, bytes: copyOf(frame) });
  }

  presenceChanged(change: PresenceChange): void {
    this.changes.push(change);
  }

  interrupted(topic: string): void {
    this.order.push(`interrupted ${topic}`);
  }

  doubted(): void {
    this.doubts++;
  }

  healthChanged(health: EngineHealth): void {
    this.healths.push(health);
  }

  controlReceived(from: string, message: string): void {
    this.controls.push({ from, message });
  }

  nodeChanged(id: string, facts: string | undefined): void {
    this.nodes.push({ id, facts });
  }

  /** The offsets that were reported for a topic, in the order of the reports. */
  offsets(topic: string): number[] {
    return this.publications.filter((one) => one.topic === topic).map(({ offset }) => offset);
  }
}

/** A node that has started. */
export interface Node {
  readonly id: string;
  readonly engine: Engine;
  readonly owner: RecordingOwner;
}

/** Gives each test a cluster of its own, which ends with the test. */
export interface TestCluster {
  start(id?: string): Promise<Node>;
  pass(ms: number): Promise<void>;
  kill(node: Node): Promise<void>;
}

export async function openCluster({ create }: EngineUnderTest): Promise<TestCluster> {
  const cluster = await create();
  const living = new Set<Engine>();
  onTestFinished(async () => {
    for (const engine of living) await engine.stop();
    await cluster.close();
  });
  return {
    start: async (id = "node-1") => {
      const engine = await cluster.create(id);
      const owner = new RecordingOwner();
      living.add(engine);
      await engine.start(owner);
      return { id, engine, owner };
    },
    pass: (ms) => cluster.pass(ms),
    kill: async ({ engine }) => {
      if (cluster.kill === undefined) throw new Error("an engine that is shared needs a way to kill a node");
      living.delete(engine);
      await cluster.kill(engine);
    },
  };
}

/** A history that outlives every test. */
export const LIMITS: HistoryLimits = { size: 100, ttlMs: 600_000, metaTtlMs: 3_600_000 };

/** A range that reads all that is kept. */
export const ALL = { limit: 1_000_000 } as const;

export const say = (text: string, more: Omit<EnginePublish, "frame"> = {}): EnginePublish => ({
  ...more,
  frame: encodeText(text),
});

export function copyOf({ block, start, end }: Frame): Buffer {
  return Buffer.from(block.subarray(start, end));
}

export function textOf(frame: Frame): string {
  return frame.block.toString("utf8", payloadStart(frame), frame.end);
}

/** Offset and text of each record. */
export function contentOf(records: readonly StreamRecord[]): [offset: number, text: string][] {
  return records.map(({ offset, frame }) => [offset, textOf(frame)]);
}

export function offsetsOf(records: readonly StreamRecord[]): number[] {
  return records.map(({ offset }) => offset);
}

/** Returns the whole numbers from `from` to `to`. */
export function span(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
}

/** Resolves when the owner of `node` has seen `count` publications of a topic. */
export async function sees({ owner }: Node, topic: string, count: number): Promise<void> {
  await vi.waitFor(() => {
    const { length } = owner.offsets(topic);
    if (length < count) throw new Error(`${length} of ${count} publications of ${JSON.stringify(topic)} were reported`);
  });
}
