import fc from "fast-check";
import { expect, it } from "vitest";
import { EngineClient } from "../../../src/runtime/engine/client/engine-client.ts";
import type { StreamFeed } from "../../../src/runtime/engine/client/wanted-topics.ts";
import type { Membership } from "../../../src/runtime/feeds/membership.ts";
import type { Position } from "../../../src/runtime/streams/position.ts";
import type { Encode, Publication } from "../../../src/runtime/streams/publication.ts";
import type { Subscribed, SubscribeOptions } from "../../../src/runtime/streams/subscribe.ts";
import { noop } from "../../../src/wire/protocol/empty.ts";
import type { Frame } from "../../../src/wire/protocol/frame.ts";
import type { SendResult } from "../../../src/wire/protocol/send-result.ts";
import { GatedEngine } from "../engine/gated-engine.ts";
import { startHost, text, textOf } from "../engine/host.ts";
import { createFeeds, Peer, tick } from "./peer.ts";

/** The rule of this topic keeps ten publications. */
const TOPIC = "p";

/** A client whose deliveries get lost on the way while the test says so: silently, or as the host drops them. */
class LossyClient extends EngineClient {
  loses: "nothing" | "silently" | "told" = "nothing";
  #isInterrupted = false;

  override want(topic: string, feed: StreamFeed, options: { presence: boolean }): Promise<Position | undefined> {
    const lossy: StreamFeed = {
      published: (record, epoch) => {
        if (this.loses === "nothing") feed.published(record, epoch);
        if (this.loses !== "told" || this.#isInterrupted) return;
        this.#isInterrupted = true;
        feed.interrupted();
      },
      topTold: (top) => {
        this.#isInterrupted = false;
        feed.topTold(top);
      },
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

/**
 * Checks what one subscriber gets: each next publication of one epoch from the result's position on, until the end; and
 * between them those that aren't stored, each once, and in the order of their publisher.
 */
class Checked extends Peer {
  readonly since: SubscribeOptions["since"];
  readonly seen: string[] = [];
  /** Contents of the publications that aren't stored, as they came. */
  readonly unstored = new Set<string>();
  /** Contents of the publications that weren't stored and that were made after the result. */
  readonly owed: string[] = [];
  /** Numbers of the last stored publication of each publisher, and of the last one that isn't stored. */
  readonly #numbers = { stored: new Map<string, number>(), unstored: new Map<string, number>() };
  membership: Membership | undefined;
  position: Position | undefined;
  failed = false;
  left = false;
  readonly #faults: unknown[];
  readonly #loses: LossyClient["loses"];

  /**
   * @param faults takes the errors of checks that fail
   * @param loses how publications get lost: what isn't stored may come late then, and early if nobody tells of the loss
   */
  constructor(since: SubscribeOptions["since"], faults: unknown[], loses: LossyClient["loses"]) {
    super();
    this.since = since;
    this.#faults = faults;
    this.#loses = loses;
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
    for (const { message } of result.publications) this.#checkOrder(message.text, "stored");
    this.position = position;
  }

  #checkOrder(content: string, kind: "stored" | "unstored"): void {
    const [publisher = "", number] = [content[0], Number(content.slice(1))];
    const { stored, unstored } = this.#numbers;
    const isAfterStored = kind === "stored" || this.#loses === "nothing";
    const isAfterUnstored = kind === "unstored" || this.#loses !== "silently";
    if (isAfterStored) expect(number).toBeGreaterThan(stored.get(publisher) ?? -1);
    if (isAfterUnstored) expect(number).toBeGreaterThan(unstored.get(publisher) ?? -1);
    this.#numbers[kind].set(publisher, number);
  }

  override deliverPublication(frame: Frame, topic: string, thins: boolean): SendResult {
    const result = super.deliverPublication(frame, topic, thins);
    if (result === "dropped") return result;
    const told = textOf(frame);
    const [epoch, offset, content = ""] = told.split(" ");
    this.#check(() => {
      expect(this.isActive).toBe(true);
      this.#checkOrder(content, offset === "0" ? "unstored" : "stored");
    });
    if (offset === "0") {
      this.unstored.add(content);
      return result;
    }
    this.#check(() => {
      const { epoch: expected, offset: before = Number.NaN } = this.position ?? {};
      expect({ epoch, offset: Number(offset) }).toEqual({ epoch: expected, offset: before + 1 });
    });
    this.position = { epoch: epoch as string, offset: Number(offset) };
    this.seen.push(told);
    return result;
  }
}

const LOSSES: LossyClient["loses"][] = ["nothing", "nothing", "silently", "told"];
const count = (max: number) => fc.integer({ min: 1, max });
const step = fc.oneof(
  {
    weight: 18,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      by: fc.boolean(),
      count: count(12),
      store: fc.constantFrom(true, true, false),
    }),
  },
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
  { weight: 3, arbitrary: fc.record({ do: fc.constant("lose" as const), loses: fc.constantFrom(...LOSSES) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("doubt" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("replace" as const) }) },
  { weight: 30, arbitrary: fc.record({ do: fc.constant("tick" as const) }) },
);

it("every subscriber gets each publication from its position on, once and in order, or is told of the loss", async () => {
  const outcomes = { recovered: 0, unrecovered: 0, lost: 0, behind: 0, delivered: 0, unstored: 0, owed: 0 };
  let runs = 0;
  const run = async (steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[]): Promise<void> => {
    const faults: unknown[] = [];
    let gated = new GatedEngine("history");
    let host = await startHost({ checkEachMs: 3_600_000 }, gated.engine);
    gated.holdsAnswers = runs++ % 2 === 0;
    const client = new LossyClient();
    host.reconnect(client);
    const other = host.connect().client;
    const { enter, told, feeds } = createFeeds(client);
    const subscribers: Checked[] = [];
    const losses = steps.flatMap((one) => (one.do === "lose" ? [one.loses] : []));
    const loses = (["silently", "told"] as const).find((one) => losses.includes(one)) ?? "nothing";
    const stored = new Map<string, string>();
    let top: Position = { epoch: "", offset: 0 };
    let texts = 0;
    const publish = (by: EngineClient, store: boolean): void => {
      const content = `${by === client ? "a" : "b"}${texts++}`;
      if (!store) {
        by.publish(TOPIC, text(content), { store }).catch(noop);
        for (const { isActive, position, owed } of subscribers)
          if (isActive && position !== undefined) owed.push(content);
        return;
      }
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
          for (let i = 0; i < one.count; i++) publish(one.by ? client : other, one.store);
          break;
        case "subscribe": {
          const subscriber = new Checked(sinceOf(one.since, one.back), faults, loses);
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
    client.loses = "nothing";
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
    // Nothing was lost on the way: who has always had room, and is still there, has got everything.
    const losesAnything = loses !== "nothing" || steps.some((one) => one.do === "replace");
    for (const { unstored, owed, isActive, refusals } of subscribers) {
      outcomes.unstored += unstored.size;
      if (losesAnything || !isActive || refusals > 0) continue;
      outcomes.owed += owed.length;
      expect(owed.filter((content) => !unstored.has(content))).toEqual([]);
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
