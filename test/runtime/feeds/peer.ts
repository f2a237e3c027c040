/** A connection as feeds see it, for tests: it writes down what it gets, and has as much room as a test says. */

import type { Address } from "../../../src/runtime/actor/address.ts";
import type { EngineClient } from "../../../src/runtime/engine/client/engine-client.ts";
import type { FeedHost } from "../../../src/runtime/feeds/feed-host.ts";
import { Feeds } from "../../../src/runtime/feeds/feeds.ts";
import type { FeedMember } from "../../../src/runtime/feeds/membership.ts";
import { FairScheduler } from "../../../src/runtime/scheduling/fair-scheduler.ts";
import type { Position } from "../../../src/runtime/streams/position.ts";
import type { PresenceEvent } from "../../../src/runtime/streams/topic-memory.ts";
import { TopicRules } from "../../../src/runtime/streams/topic-rules.ts";
import type { Frame } from "../../../src/wire/protocol/frame.ts";
import type { SendResult } from "../../../src/wire/protocol/send-result.ts";
import { RULES, textOf } from "../engine/host.ts";

let peers = 0;

export class Peer implements FeedMember {
  readonly address = `0-${peers++}` as Address;
  /** Texts of the publications that were delivered, and what else happened, in order. */
  readonly log: string[] = [];
  readonly lost: { readonly topic: string; readonly top: Position }[] = [];
  readonly events: PresenceEvent[] = [];
  readonly errors: unknown[] = [];
  /** Number of publications for which there is room. */
  room = Number.POSITIVE_INFINITY;
  refusals = 0;
  #drained: PromiseWithResolvers<void> | undefined;

  deliverPublication(frame: Frame, _topic: string, _thins: boolean): SendResult {
    if (this.room === 0) {
      this.refusals++;
      return "dropped";
    }
    this.room--;
    this.log.push(textOf(frame));
    return "sent";
  }

  whenDrained(): Promise<void> {
    if (this.room > 0) return Promise.resolve();
    this.#drained ??= Promise.withResolvers<void>();
    return this.#drained.promise;
  }

  /** Makes room for that many publications. */
  drain(room = Number.POSITIVE_INFINITY): void {
    this.room = room;
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  get isWaitedFor(): boolean {
    return this.#drained !== undefined;
  }

  streamLost(topic: string, top: Position): void {
    this.log.push("lost");
    this.lost.push({ topic, top });
  }

  encodeFailed(error: unknown): void {
    this.log.push("encode failed");
    this.errors.push(error);
  }

  presenceChanged(event: PresenceEvent): void {
    this.events.push(event);
  }
}

export interface TestFeeds {
  readonly feeds: Feeds;
  /** Numbers of what the feeds told their host. */
  readonly told: { behind: number; lost: number; dropped: number; relayed: string[]; delivered: number };
  /** Subscribes a peer to a topic by the rules of the test host. */
  enter(topic: string, peer: FeedMember, options?: Parameters<Feeds["enter"]>[3]): ReturnType<Feeds["enter"]>;
}

export function createFeeds(
  client: EngineClient,
  rules = new TopicRules(RULES),
  retryMs = 5,
  mayGoOn = new FairScheduler().backgroundTurn,
): TestFeeds {
  const told = { behind: 0, lost: 0, dropped: 0, relayed: [] as string[], delivered: 0 };
  const host: FeedHost = {
    audience: {
      delivered: (count) => {
        told.delivered += count;
      },
    },
    relayed: (_, frame) => void told.relayed.push(textOf(frame)),
    unstoredDropped: (count) => {
      told.dropped += count;
    },
    subscriptionLost: () => void told.lost++,
    subscriptionBehind: () => void told.behind++,
    mayGoOn,
  };
  const feeds = new Feeds(client, host, retryMs);
  const enter: TestFeeds["enter"] = (topic, peer, options = {}) => {
    const rule = rules.of(topic);
    if (rule === undefined) throw new Error(`the topic ${topic} has no rule`);
    return feeds.enter(topic, rule, peer, options);
  };
  return { feeds, told, enter };
}

/** Resolves at the end of the turn of the event loop, after `EndOfTick`. */
export function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
