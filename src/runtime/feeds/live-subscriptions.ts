/** The subscriptions of a feed that get each publication as it comes. `Feed` has one `LiveSubscriptions`. */
import type { Frame } from "../../wire/protocol/frame.ts";
import type { AudienceOwner } from "../bus/audience.ts";
import { type Encoding, Variants } from "../bus/variants.ts";
import type { Encode } from "../streams/publication.ts";
import { encoded, type StreamRecord } from "../streams/publication.ts";
import type { StreamSubscription } from "./stream-subscription.ts";

/** A publication is encoded once for all subscriptions with the same `encode`. */
export class LiveSubscriptions {
  readonly #topic: string;
  readonly #owner: AudienceOwner;
  readonly #variants: Variants<StreamSubscription>;
  /** Frames of publications that more than one delivery may need; null for one that isn't delivered. */
  readonly #frames = new WeakMap<Encode, WeakMap<StreamRecord, Frame | null>>();

  constructor(topic: string, owner: AudienceOwner) {
    this.#topic = topic;
    this.#owner = owner;
    this.#variants = new Variants(topic);
  }

  add(subscription: StreamSubscription): void {
    this.#variants.add(subscription, subscription.encode);
  }

  delete(subscription: StreamSubscription): void {
    this.#variants.delete(subscription, subscription.encode);
  }

  /** Returns all subscriptions as they are now. */
  all(): StreamSubscription[] {
    return this.#variants.all();
  }

  /**
   * Delivers a publication to all.
   *
   * @param remembers true if `frameOf` will be asked for the publication, too
   * @param failed called for each subscription whose `encode` threw
   */
  deliver(
    record: StreamRecord,
    epoch: string,
    remembers: boolean,
    failed: (subscription: StreamSubscription, error: unknown) => void,
  ): void {
    const frameOf = (encode: Encoding): Frame | undefined =>
      remembers ? this.frameOf(encode, record, epoch) : encoded(this.#topic, epoch, record, encode);
    this.#variants.deliver(frameOf, this.#owner, failed);
  }

  /**
   * Returns a publication as subscriptions with this `encode` get it; undefined if they don't get it. Throws what
   * `encode` throws.
   */
  frameOf(encode: Encoding, record: StreamRecord, epoch: string): Frame | undefined {
    if (encode === undefined) return record.frame;
    let frames = this.#frames.get(encode);
    if (frames === undefined) {
      frames = new WeakMap();
      this.#frames.set(encode, frames);
    }
    let frame = frames.get(record);
    if (frame === undefined) {
      frame = encoded(this.#topic, epoch, record, encode) ?? null;
      frames.set(record, frame);
    }
    return frame ?? undefined;
  }
}
