/**
 * A model of what a board does with the reports of an engine: subscribers that follow topics, recover, or are told that
 * they lost their place. For tests of what a subscriber sees while the engine suffers.
 */
import { expect, vi } from "vitest";
import type {
  Engine,
  EngineHealth,
  EngineOwner,
  HistoryLimits,
  PresenceChange,
} from "../../src/runtime/streams/engine.ts";
import type { Position } from "../../src/runtime/streams/position.ts";
import type { StreamRecord } from "../../src/runtime/streams/publication.ts";
import { recover } from "../../src/runtime/streams/recovery.ts";
import { encodeText, type Frame, payloadStart } from "../../src/wire/protocol/frame.ts";

export const LIMITS: HistoryLimits = { size: 10_000, ttlMs: 600_000, metaTtlMs: 3_600_000 };

/** What a subscriber saw: a publication, or that it lost its place. */
type Seen =
  | { readonly kind: "publication"; readonly epoch: string; readonly offset: number; readonly text: string }
  | { readonly kind: "lost" };

interface Subscriber {
  readonly topic: string;
  epoch: string;
  offset: number;
  readonly seen: Seen[];
  /** Publications that arrived while the subscriber was compared with the top; undefined otherwise. */
  held: { readonly epoch: string; readonly record: StreamRecord }[] | undefined;
  isReading: boolean;
  /** True if the owner doubted while the subscriber was reading. */
  isDoubtedAgain: boolean;
}

const textOf = (frame: Frame): string => frame.block.toString("utf8", payloadStart(frame), frame.end);

export class ModelOwner implements EngineOwner {
  readonly healths: EngineHealth[] = [];
  readonly changes: PresenceChange[] = [];
  readonly nodes: { readonly id: string; readonly facts: string | undefined }[] = [];
  doubts = 0;
  /** Times that a subscriber lost its place. */
  losses = 0;
  readonly #engine: Engine;
  readonly #subscribers = new Map<string, Subscriber>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async subscribe(topic: string): Promise<void> {
    const held: Subscriber["held"] = [];
    const subscriber: Subscriber = {
      topic,
      epoch: "",
      offset: 0,
      seen: [],
      held,
      isReading: true,
      isDoubtedAgain: false,
    };
    this.#subscribers.set(topic, subscriber);
    await this.#engine.want(topic);
    const { top } = await this.#engine.history(topic, { limit: 0 }, LIMITS);
    subscriber.epoch = top.epoch;
    subscriber.offset = top.offset;
    subscriber.isReading = false;
    this.#goOn(subscriber);
  }

  seen(topic: string): readonly Seen[] {
    return this.#of(topic).seen;
  }

  texts(topic: string): string[] {
    return this.seen(topic).flatMap((seen) => (seen.kind === "publication" ? [seen.text] : []));
  }

  position(topic: string): Position {
    const { epoch, offset } = this.#of(topic);
    return { epoch, offset };
  }

  published(topic: string, epoch: string, record: StreamRecord): void {
    const subscriber = this.#subscribers.get(topic);
    if (subscriber === undefined) return;
    if (subscriber.held === undefined) this.#take(subscriber, epoch, record);
    else subscriber.held.push({ epoch, record });
  }

  relayed(): void {}
  controlReceived(): void {}

  presenceChanged(change: PresenceChange): void {
    this.changes.push(change);
  }

  nodeChanged(id: string, facts: string | undefined): void {
    this.nodes.push({ id, facts });
  }

  healthChanged(health: EngineHealth): void {
    this.healths.push(health);
  }

  interrupted(): void {}

  doubted(): void {
    this.doubts++;
    for (const subscriber of this.#subscribers.values()) {
      subscriber.held ??= [];
      void this.#compare(subscriber);
    }
  }

  /** Resolves when the health is this, after it was something else since `from` reports. */
  async becomes(status: EngineHealth["status"], from = 0): Promise<EngineHealth> {
    return vi.waitFor(() => {
      const health = this.healths.slice(from).find((one) => one.status === status);
      if (health === undefined) throw new Error(`the engine hasn't become ${status}: ${JSON.stringify(this.healths)}`);
      return health;
    });
  }

  #of(topic: string): Subscriber {
    const subscriber = this.#subscribers.get(topic);
    if (subscriber === undefined) throw new Error(`nobody subscribes to ${topic}`);
    return subscriber;
  }

  #take(subscriber: Subscriber, epoch: string, record: StreamRecord): void {
    if (epoch === subscriber.epoch && record.offset <= subscriber.offset) return;
    if (epoch === subscriber.epoch && record.offset === subscriber.offset + 1) {
      this.#deliver(subscriber, record);
      return;
    }
    subscriber.held = [{ epoch, record }];
    void this.#compare(subscriber);
  }

  #deliver(subscriber: Subscriber, { offset, frame }: StreamRecord): void {
    subscriber.offset = offset;
    subscriber.seen.push({ kind: "publication", epoch: subscriber.epoch, offset, text: textOf(frame) });
  }

  async #compare(subscriber: Subscriber): Promise<void> {
    if (subscriber.isReading) {
      subscriber.isDoubtedAgain = true;
      return;
    }
    subscriber.isReading = true;
    subscriber.isDoubtedAgain = false;
    try {
      const since = { epoch: subscriber.epoch, offset: subscriber.offset };
      const read = await this.#engine.history(subscriber.topic, { since: since.offset, limit: 10_000 }, LIMITS);
      const recovery = recover(since, read);
      for (const record of recovery.records) this.#deliver(subscriber, record);
      if (!recovery.recovered) {
        this.losses++;
        subscriber.seen.push({ kind: "lost" });
        subscriber.epoch = read.top.epoch;
        subscriber.offset = read.top.offset;
      }
      subscriber.isReading = false;
      if (!subscriber.isDoubtedAgain) this.#goOn(subscriber);
    } catch {
      // The engine is away. When it is back, it says so, and the comparison is repeated.
      subscriber.isReading = false;
    }
    if (subscriber.isDoubtedAgain) void this.#compare(subscriber);
  }

  #goOn(subscriber: Subscriber): void {
    const held = subscriber.held ?? [];
    subscriber.held = undefined;
    subscriber.isReading = false;
    for (const { epoch, record } of held) this.published(subscriber.topic, epoch, record);
  }
}

/** A publisher that numbers its publications, and knows which were stored. */
export class ModelPublisher {
  /** Text by epoch and offset, of what the engine says is stored. */
  readonly stored = new Map<string, string>();
  readonly rejections: { readonly text: string; readonly code: unknown; readonly message: string }[] = [];
  readonly #engine: Engine;
  readonly #topic: string;
  #number = 0;

  constructor(engine: Engine, topic: string) {
    this.#engine = engine;
    this.#topic = topic;
  }

  /** Publishes without waiting between two, and resolves when each is stored or rejected. */
  async publish(count: number): Promise<void> {
    const publishes = Array.from({ length: count }, async () => {
      const text = `${this.#topic} ${++this.#number}`;
      try {
        const { position } = await this.#engine.publish(this.#topic, { frame: encodeText(text) }, LIMITS);
        const place = `${position.epoch} ${position.offset}`;
        expect(this.stored.get(place)).toBeUndefined();
        this.stored.set(place, text);
      } catch (error) {
        const { code, message } = error as { code?: unknown; message: string };
        this.rejections.push({ text, code, message });
      }
    });
    await Promise.all(publishes);
  }

  /** The text that was published last. */
  get last(): string {
    return `${this.#topic} ${this.#number}`;
  }
}

/**
 * Checks what a subscriber saw: no place twice, no other order, no hole that it wasn't told of, and at each place what
 * its publisher was told to be there.
 */
export function expectHonest(seen: readonly Seen[], stored: ReadonlyMap<string, string>): void {
  const places = new Set<string>();
  const texts = new Set<string>();
  let last: { readonly epoch: string; readonly offset: number } | undefined;
  let hasLost = false;
  for (const one of seen) {
    if (one.kind === "lost") {
      hasLost = true;
      continue;
    }
    const place = `${one.epoch} ${one.offset}`;
    expect(places.has(place), `${place} was seen twice`).toBe(false);
    expect(texts.has(one.text), `${one.text} was seen twice`).toBe(false);
    places.add(place);
    texts.add(one.text);
    expect(stored.get(place) ?? one.text, `another publication at ${place}`).toBe(one.text);
    if (last !== undefined && !hasLost) {
      expect({ epoch: one.epoch, offset: one.offset }, "a hole").toEqual({
        epoch: last.epoch,
        offset: last.offset + 1,
      });
    }
    last = one;
    hasLost = false;
  }
  const numbers = [...texts].map((text) => Number(text.split(" ").at(-1)));
  expect(numbers, "another order").toEqual(numbers.toSorted((a, b) => a - b));
}
