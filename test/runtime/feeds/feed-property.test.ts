import fc from "fast-check";
import { expect, it } from "vitest";
import { EngineClient } from "../../../src/runtime/engine/client/engine-client.ts";
import type { StreamFeed } from "../../../src/runtime/engine/client/wanted-topics.ts";
import type { Membership } from "../../../src/runtime/feeds/membership.ts";
import type { Position } from "../../../src/runtime/streams/position.ts";
import type { Encode, Publication } from "../../../src/runtime/streams/publication.ts";
import type { Subscribed, SubscribeOptions } from "../../../src/runtime/streams/subscribe.ts";
import type { Frame } from "../../../src/wire/protocol/frame.ts";
import type { SendResult } from "../../../src/wire/protocol/send-result.ts";
import { GatedEngine } from "../engine/gated-engine.ts";
import { startHost, text, textOf } from "../engine/host.ts";
import { createFeeds, Peer, tick } from "./peer.ts";

/** The rule of this topic keeps ten publications. */
const TOPIC = "p";

/** A client whose deliveries get lost on the way while the test says so. */
class LossyClient extends EngineClient {
  loses = false;

  override want(topic: string, feed: StreamFeed, options: { presence: boolean }): Promise<Position | undefined> {
    const lossy: StreamFeed = {
      published: (record, epoch) => {
        if (!this.loses) feed.published(record, epoch);
      },
      topTold: (top) => feed.topTold(top),
      interrupted: () => feed.interrupted(),
      relayed: (frame) => feed.relayed(frame),
      presenceChanged: (change) => feed.presenceChanged(change),
      presenceDoubted: () => feed.presenceDoubted(),
    };
    return super.want(topic, lossy, options);
  }
}

const tell = ({ epoch, offset, message }: Publication): string => `${epoch} ${offset} ${message.text}`;
const ENCODES: Encode[] = [(publication) => tell(publication), (publication) => tell(publication)];

/** Checks what one subscriber gets: each next publication of one epoch from the result's position on, until the end. */
class Checked extends Peer {
  readonly since: SubscribeOptions["since"];
  readonly seen: string[] = [];
  membership: Membership | undefined;
  position: Position | undefined;
  failed = false;
  left = false;
  readonly #faults: unknown[];

  /** @param faults takes the errors of checks that fail */
  constructor(since: SubscribeOptions["since"], faults: unknown[]) {
    super();
    this.since = since;
    this.#faults = faults;
  }

  #check(checks: () => void): void {
    try {
      checks();
    } catch (error) {
      this.#faults.push(error);
    }
  }

  get isActive(): boolean {
    return this.lost.length === 0 && !this.left && !this.failed;
  }

  /** What an actor does right after `await this.subscribe()`. */
  continue(result: Subscribed): void {
    if (this.isActive) this.#check(() => this.#checkResult(result));
  }

  #checkResult(result: Subscribed): void {
    const { since } = this;
    const position = result.position as Position;
    const offsets = result.publications.map(({ offset }) => offset);
    expect(result.wasRecovering).toBe(since !== undefined);
    expect(result.publications.every(({ epoch }) => epoch === position.epoch)).toBe(true);
    if (!result.recovered) {
      expect(offsets).toEqual([]);
    } else if (since === "latest") {
      expect(offsets).toEqual([position.offset]);
    } else if (since !== undefined) {
      expect(since.epoch === "" || since.epoch === position.epoch).toBe(true);
      expect(offsets).toEqual(offsets.map((_, index) => since.offset + 1 + index));
      expect(since.offset + offsets.length).toBe(position.offset);
    }
    this.seen.push(...result.publications.map(tell));
    this.position = position;
  }

  override deliverPublication(frame: Frame, topic: string, thins: boolean): SendResult {
    const result = super.deliverPublication(frame, topic, thins);
    if (result === "dropped") return result;
    const told = textOf(frame);
    const [epoch, offset] = told.split(" ");
    this.#check(() => {
      expect(this.isActive).toBe(true);
      const { epoch: expected, offset: before = Number.NaN } = this.position ?? {};
      expect({ epoch, offset: Number(offset) }).toEqual({ epoch: expected, offset: before + 1 });
    });
    this.position = { epoch: epoch as string, offset: Number(offset) };
    this.seen.push(told);
    return result;
  }
}

const count = (max: number) => fc.integer({ min: 1, max });
const step = fc.oneof(
  { weight: 18, arbitrary: fc.record({ do: fc.constant("publish" as const), by: fc.boolean(), count: count(12) }) },
  {
    weight: 15,
    arbitrary: fc.record({
      do: fc.constant("subscribe" as const),
      since: fc.constantFrom("none", "past", "past", "now", "future", "foreign", "any epoch", "any epoch", "latest"),
      back: fc.nat({ max: 12 }),
      encode: fc.nat({ max: 1 }),
      room: fc.constantFrom(0, 1, 3, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("unsubscribe" as const), who: fc.nat() }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constant("fill" as const), who: fc.nat(), room: fc.nat({ max: 3 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("drain" as const), who: fc.nat(), room: count(12) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("removeHistory" as const) }) },
  { weight: 24, arbitrary: fc.record({ do: fc.constant("open" as const), count: count(3) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("lose" as const), loses: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("doubt" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("replace" as const) }) },
  { weight: 30, arbitrary: fc.record({ do: fc.constant("tick" as const) }) },
);

it("every subscriber gets each publication from its position on, once and in order, or is told of the loss", async () => {
  const outcomes = { recovered: 0, unrecovered: 0, lost: 0, behind: 0, delivered: 0 };
  const faults: unknown[] = [];
  let runs = 0;
  const run = async (steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[]): Promise<void> => {
    let gated = new GatedEngine("history");
    let host = await startHost({ checkEachMs: 3_600_000 }, gated.engine);
    gated.holdsAnswers = runs++ % 2 === 0;
    const client = new LossyClient();
    host.reconnect(client);
    const other = host.connect().client;
    const { enter, told, feeds } = createFeeds(client);
    const subscribers: Checked[] = [];
    const stored = new Map<string, string>();
    let top: Position = { epoch: "", offset: 0 };
    let texts = 0;
    const publish = (by: EngineClient): void => {
      const content = `t${texts++}`;
      const noted = ({ position }: { position: Position }): void => {
        top = position;
        stored.set(`${position.epoch} ${position.offset}`, content);
      };
      by.publish(TOPIC, text(content)).then(noted, () => {});
    };
    const sinceOf = (kind: string, back: number): SubscribeOptions["since"] => {
      const offset = Math.max(0, top.offset - back);
      if (kind === "none") return undefined;
      if (kind === "latest") return "latest";
      if (kind === "now") return top;
      if (kind === "future") return { epoch: top.epoch, offset: top.offset + back };
      if (kind === "foreign") return { epoch: "foreign", offset };
      return { epoch: kind === "past" ? top.epoch : "", offset };
    };
    const replace = async (): Promise<void> => {
      const [before, { holdsAnswers }] = [host, gated];
      gated = new GatedEngine("history");
      gated.holdsAnswers = holdsAnswers;
      host = await startHost({ checkEachMs: 3_600_000 }, gated.engine);
      host.reconnect(client);
      host.reconnect(other);
      await before.host.stop();
    };
    for (const one of steps) {
      const chosen = "who" in one ? subscribers[one.who % Math.max(1, subscribers.length)] : undefined;
      switch (one.do) {
        case "publish":
          for (let i = 0; i < one.count; i++) publish(one.by ? client : other);
          break;
        case "subscribe": {
          const subscriber = new Checked(sinceOf(one.since, one.back), faults);
          subscriber.room = one.room;
          subscribers.push(subscriber);
          const options = { since: subscriber.since, encode: ENCODES[one.encode] };
          subscriber.membership = enter(TOPIC, subscriber, options);
          subscriber.membership.result.then(
            (result) => {
              subscriber.continue(result);
              outcomes[result.recovered ? "recovered" : "unrecovered"]++;
            },
            () => {
              subscriber.failed = true;
            },
          );
          break;
        }
        case "unsubscribe":
          if (chosen === undefined) break;
          chosen.left = true;
          chosen.membership?.leave();
          break;
        case "fill":
          if (chosen !== undefined) chosen.room = one.room;
          break;
        case "drain":
          chosen?.drain(one.room);
          break;
        case "removeHistory":
          void client.removeHistory(TOPIC).catch(() => {});
          break;
        case "open":
          for (let i = 0; i < one.count; i++) gated.open();
          break;
        case "lose":
          client.loses = one.loses;
          break;
        case "doubt":
          gated.owner?.doubted();
          break;
        case "replace":
          await replace();
          break;
        case "tick":
          await tick();
      }
    }
    // Everything that was held back comes, and every subscriber is at the top or has been told.
    client.loses = false;
    let current: Position | undefined;
    const isSettled = (): boolean =>
      current !== undefined &&
      subscribers.every(
        ({ isActive, position }) =>
          !isActive || (position?.epoch === current?.epoch && position?.offset === current?.offset),
      );
    const deadline = performance.now() + 5_000;
    for (let turn = 0; performance.now() < deadline && !isSettled(); turn++) {
      for (const subscriber of subscribers) subscriber.drain();
      while (gated.waiting.length > 0) gated.open();
      if (turn % 20 === 10) {
        gated.owner?.doubted();
        void client.history(TOPIC, { limit: 0 }).then(
          (read) => {
            current = read.top;
          },
          () => {},
        );
      }
      await tick();
    }
    expect(faults).toEqual([]);
    expect(isSettled()).toBe(true);
    for (const { seen } of subscribers) {
      for (const one of seen) {
        const [epoch, offset, content] = one.split(" ");
        expect(content).toBe(stored.get(`${epoch} ${offset}`) ?? content);
      }
      outcomes.delivered += seen.length;
    }
    outcomes.lost += told.lost;
    outcomes.behind += told.behind;
    for (const { membership } of subscribers) membership?.leave();
    expect(feeds.size).toBe(0);
    client.close();
    other.close();
    await host.host.stop();
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 120, size: "max" }), run), {
    numRuns: 200,
  });
  // The random walk has been everywhere.
  for (const times of Object.values(outcomes)) expect(times).toBeGreaterThan(20);
}, 120_000);
