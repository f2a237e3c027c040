/** One connection's subscription to a stream: its place in the stream, and what it is waiting for. `Feed` has many. */
import type { Frame } from "../../wire/protocol/frame.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";
import type { Subscriber, SubscriberGroup } from "../bus/audience.ts";
import type { Position } from "../streams/position.ts";
import type { Encode } from "../streams/publication.ts";
import type { PresenceEvent } from "../streams/topic-memory.ts";

/** The part of a connection that a subscription uses. */
export interface StreamSubscriber {
  /**
   * Queues a publication for the peer.
   *
   * Returns "dropped" if there is no room for the publication: it waits in the history, with all later ones, until the
   * peer has read what was queued before.
   *
   * @param thins true if the newest publication of the topic makes older ones worthless: a newer one may replace it
   * while it is queued
   */
  deliverPublication(frame: Frame, topic: string, thins: boolean, group?: SubscriberGroup): SendResult;
  /** Resolves when nothing waits for the peer, or the connection has ended. */
  whenDrained(): Promise<void>;
  /** The subscription has ended, because publications are lost for it. The position is the top now. */
  streamLost(topic: string, top: Position): void;
  /** The `encode` of a subscription threw. Comes after `streamLost`. */
  encodeFailed(error: unknown): void;
  presenceChanged(event: PresenceEvent): void;
}

/**
 * - `joining`: reads what it missed, or has read it and waits for the end of the tick.
 * - `catchingUp`: more was published meanwhile than is remembered: it reads the rest from the history.
 * - `live`: gets what the feed gets.
 * - `behind`: its peer reads too slowly, or the engine can't be read: it catches up from the history later, and gets
 *   nothing that isn't stored.
 * - `ended`: unsubscribed, or lost.
 */
export type SubscriptionPhase = "joining" | "catchingUp" | "live" | "behind" | "ended";

/** The part of a feed that a subscription uses. */
export interface SubscriptionOwner {
  /** True while a publication that isn't stored is delivered: no stored one may take its place, nor the other way. */
  readonly deliversUnstored: boolean;
  /** The peer has no room for the publication that is being delivered. */
  publicationRefused(subscription: StreamSubscription): void;
}

export class StreamSubscription implements Subscriber {
  readonly topic: string;
  readonly subscriber: StreamSubscriber;
  /** Set again by the actor after a move: a function can't travel. */
  encode: Encode | undefined;
  readonly #owner: SubscriptionOwner;
  /** True if the newest publication makes older ones worthless. */
  readonly thins: boolean;
  phase: SubscriptionPhase = "joining";
  /** True while the subscription is about to move, or has moved and waits for its `encode`: it doesn't go live. */
  isPaused = false;
  /** Place: epoch and offset of the last publication that the connection was given. While `live`, the feed's counts. */
  epoch = "";
  offset = 0;
  /**
   * Number of the next publication that isn't stored, among those that are remembered. While `live`, it says nothing.
   */
  nextUnstored = 0;

  constructor(
    topic: string,
    subscriber: StreamSubscriber,
    encode: Encode | undefined,
    thins: boolean,
    owner: SubscriptionOwner,
  ) {
    this.topic = topic;
    this.subscriber = subscriber;
    this.encode = encode;
    this.thins = thins;
    this.#owner = owner;
  }

  get hasEnded(): boolean {
    return this.phase === "ended";
  }

  /** Epoch and offset of the last publication that the connection was given. While `live`, the feed's place counts. */
  get place(): Position {
    return { epoch: this.epoch, offset: this.offset };
  }

  /** True if a place of the same epoch is further on. */
  isBefore({ epoch, offset }: Position): boolean {
    return this.epoch === epoch && this.offset < offset;
  }

  /** Sets the place of the subscription. */
  moveTo({ epoch, offset }: Position): void {
    this.epoch = epoch;
    this.offset = offset;
  }

  deliver(frame: Frame, topic: string, group?: SubscriberGroup): SendResult {
    const result = this.subscriber.deliverPublication(frame, topic, this.thins && !this.#owner.deliversUnstored, group);
    if (result === "dropped") this.#owner.publicationRefused(this);
    return result;
  }
}
