/** The topics that the thread of an `EngineClient` wants, and their feeds. They survive the engine thread. */
import type { Frame } from "../../../wire/protocol/frame.ts";
import type { PresenceChange } from "../../streams/engine.ts";
import type { Position } from "../../streams/position.ts";
import type { StreamRecord } from "../../streams/publication.ts";
import type { HostNotice } from "../messages.ts";

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
export interface WantedTopic {
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
  readonly #byName = new Map<string, WantedTopic>();
  readonly #byNumber = new Map<number, WantedTopic>();
  #nextNumber = 0;

  get(name: string): WantedTopic | undefined {
    return this.#byName.get(name);
  }

  /** Adds a topic, or replaces its feed. */
  set(name: string, feed: StreamFeed, presence: boolean): WantedTopic {
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

  /** Returns true if the topic was wanted. */
  delete(name: string): boolean {
    const wanted = this.#byName.get(name);
    if (wanted === undefined) return false;
    this.#byName.delete(name);
    return this.#byNumber.delete(wanted.number);
  }

  values(): Iterable<WantedTopic> {
    return this.#byName.values();
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
