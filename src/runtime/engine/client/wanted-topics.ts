/**
 * The topics that one thread wants, and their feeds. They survive the engine thread. `EngineClient` has one list.
 */
import type { Frame } from "../../../wire/protocol/frame.ts";
import type { PresenceChange } from "../../streams/engine.ts";
import type { Position } from "../../streams/position.ts";
import type { StreamRecord } from "../../streams/publication.ts";
import type { HostNotice } from "../messages.ts";
import type { EngineSession } from "./engine-session.ts";

type TopicNotice = Extract<HostNotice, { readonly number: number }>;

/** The receiver of everything that concerns one wanted topic. Each call comes from the port, in the port's order. */
export interface StreamFeed {
  /** The next publication, in the order of the engine. */
  published(record: StreamRecord, epoch: string): void;
  /**
   * The top of the stream, for a comparison with the feed's own cursor. Called first with the answer to `want`: every
   * later publication follows. Called again by a periodic check, after a doubt, after deliveries were dropped, and
   * after the engine thread was replaced.
   */
  topTold(top: Position): void;
  /** Publications may be lost before those that follow. The top is told later. Only of a topic with history. */
  interrupted(): void;
  /** A message without an offset: from another node, or a publication that isn't stored. */
  relayed(frame: Frame): void;
  presenceChanged(change: PresenceChange): void;
  /** Changes of presence may have been lost: what is known of members is to be read again. */
  presenceDoubted(): void;
}

/** One topic that is wanted. */
interface WantedTopic {
  readonly name: string;
  /** This thread's number for the topic. Never used again. */
  readonly number: number;
  feed: StreamFeed;
  presence: boolean;
  /** True once the host has answered: deliveries come. */
  isKnown: boolean;
  /** Epoch of the deliveries. */
  epoch: string;
  /** Offset of the newest publication that arrived, or of the top when the topic was wanted. */
  offset: number;
}

export class WantedTopics {
  readonly #currentSession: () => EngineSession | undefined;
  readonly #byName = new Map<string, WantedTopic>();
  readonly #byNumber = new Map<number, WantedTopic>();
  #nextNumber = 0;

  /** @param currentSession returns the session with the engine thread that is connected; undefined if there is none */
  constructor(currentSession: () => EngineSession | undefined) {
    this.#currentSession = currentSession;
  }

  /** Wants a topic, or replaces its feed: see `EngineClient.want`. */
  async want(session: EngineSession, name: string, feed: StreamFeed, presence: boolean): Promise<Position | undefined> {
    const wanted = this.#set(name, feed, presence);
    try {
      return await this.#request(session, wanted);
    } catch (error) {
      // The topic may be wanted anew since.
      if (this.#isWanted(wanted)) this.unwant(name);
      throw error;
    }
  }

  /** Ends what `want` began. The feed is not called any more. */
  unwant(name: string): void {
    const wanted = this.#byName.get(name);
    if (wanted === undefined) return;
    this.#byName.delete(name);
    this.#byNumber.delete(wanted.number);
    this.#currentSession()?.call({ kind: "unwant", topic: name });
  }

  /** Wants all topics again, in a new engine thread. */
  renewAll(session: EngineSession): void {
    for (const wanted of this.#byName.values()) {
      wanted.isKnown = false;
      void this.#renew(session, wanted);
    }
  }

  /** Returns the position of the newest publication that arrived; undefined if no deliveries come. */
  arrived(name: string): Position | undefined {
    const wanted = this.#byName.get(name);
    return wanted?.isKnown === true ? { epoch: wanted.epoch, offset: wanted.offset } : undefined;
  }

  #isWanted(wanted: WantedTopic): boolean {
    return this.#byName.get(wanted.name) === wanted;
  }

  #request(session: EngineSession, wanted: WantedTopic): Promise<Position | undefined> {
    const { name: topic, number, presence } = wanted;
    return session.request({ kind: "want", topic, number, presence }, (top) => {
      if (!this.#isWanted(wanted)) return;
      wanted.isKnown = top !== undefined;
      if (top === undefined) return;
      wanted.epoch = top.epoch;
      wanted.offset = top.offset;
      wanted.feed.topTold(top);
    });
  }

  async #renew(session: EngineSession, wanted: WantedTopic): Promise<void> {
    try {
      await this.#request(session, wanted);
      if (wanted.presence && this.#isWanted(wanted)) wanted.feed.presenceDoubted();
    } catch {
      session.later(() => {
        if (this.#isWanted(wanted)) void this.#renew(session, wanted);
      });
    }
  }

  #set(name: string, feed: StreamFeed, presence: boolean): WantedTopic {
    const known = this.#byName.get(name);
    if (known !== undefined) {
      known.feed = feed;
      known.presence = presence;
      return known;
    }
    const number = this.#nextNumber++;
    const wanted: WantedTopic = { name, number, feed, presence, isKnown: false, epoch: "", offset: 0 };
    this.#byName.set(name, wanted);
    this.#byNumber.set(number, wanted);
    return wanted;
  }

  /** A publication, or with offset 0 a relayed message, arrived. */
  delivered(number: number, record: StreamRecord): void {
    const wanted = this.#byNumber.get(number);
    if (wanted === undefined) return;
    if (record.offset === 0) {
      wanted.feed.relayed(record.frame);
      return;
    }
    wanted.offset = record.offset;
    wanted.feed.published(record, wanted.epoch);
  }

  /** The host tells something about a topic, in order with the deliveries. */
  noticed(notice: TopicNotice): void {
    const wanted = this.#byNumber.get(notice.number);
    if (wanted === undefined) return;
    switch (notice.kind) {
      case "epochChanged":
        wanted.epoch = notice.epoch;
        return;
      case "topTold":
        wanted.feed.topTold(notice.top);
        return;
      case "interrupted":
        wanted.feed.interrupted();
        return;
      case "presenceChanged":
        wanted.feed.presenceChanged(notice.change);
        return;
      case "presenceDoubted":
        wanted.feed.presenceDoubted();
        return;
    }
  }
}
