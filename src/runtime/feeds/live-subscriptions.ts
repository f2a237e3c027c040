/** The subscriptions of a feed that get each publication as it comes. `Feed` has one `LiveSubscriptions`. */
import type { Frame } from "../../wire/protocol/frame.ts";
import { toFrame } from "../../wire/protocol/message.ts";
import {
  type Audience,
  type AudienceOwner,
  addSubscriber,
  deleteSubscriber,
  deliverTo,
  NO_SUBSCRIBERS,
} from "../bus/audience.ts";
import { Publication, type StreamRecord } from "../streams/publication.ts";
import type { Encode } from "../streams/subscribe.ts";
import type { StreamSubscription } from "./stream-subscription.ts";

/** The live subscriptions with the same `encode`. */
interface Variant extends Audience {
  readonly encode: Encode | undefined;
}

/** A publication is encoded once for all subscriptions with the same `encode`. */
export class LiveSubscriptions {
  readonly #topic: string;
  readonly #owner: AudienceOwner;
  readonly #variants = new Map<Encode | undefined, Variant>();
  /** Frames of publications that more than one delivery may need. */
  readonly #frames = new WeakMap<Encode, WeakMap<StreamRecord, Frame>>();

  constructor(topic: string, owner: AudienceOwner) {
    this.#topic = topic;
    this.#owner = owner;
  }

  add(subscription: StreamSubscription): void {
    const { encode } = subscription;
    let variant = this.#variants.get(encode);
    if (variant === undefined) {
      const { name, group, absent } = { name: this.#topic, group: undefined, absent: undefined };
      variant = { name, subscribers: NO_SUBSCRIBERS, group, absent, encode };
      this.#variants.set(encode, variant);
    }
    addSubscriber(variant, subscription);
  }

  delete(subscription: StreamSubscription): void {
    const variant = this.#variants.get(subscription.encode);
    if (variant === undefined) return;
    deleteSubscriber(variant, subscription);
    if (variant.subscribers.size === 0) this.#variants.delete(subscription.encode);
  }

  /** Returns all subscriptions as they are now. */
  all(): StreamSubscription[] {
    return [...this.#variants.values()].flatMap(membersOf);
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
    for (const variant of this.#variants.values()) {
      const { encode } = variant;
      let frame: Frame;
      try {
        frame = remembers ? this.frameOf(encode, record, epoch) : this.#encode(encode, record, epoch);
      } catch (error) {
        for (const subscription of membersOf(variant)) failed(subscription, error);
        continue;
      }
      deliverTo(variant, frame, this.#owner);
    }
  }

  /** Returns a publication as subscriptions with this `encode` get it. Throws what `encode` throws. */
  frameOf(encode: Encode | undefined, record: StreamRecord, epoch: string): Frame {
    if (encode === undefined) return record.frame;
    let frames = this.#frames.get(encode);
    if (frames === undefined) {
      frames = new WeakMap();
      this.#frames.set(encode, frames);
    }
    let frame = frames.get(record);
    if (frame === undefined) {
      frame = this.#encode(encode, record, epoch);
      frames.set(record, frame);
    }
    return frame;
  }

  #encode(encode: Encode | undefined, record: StreamRecord, epoch: string): Frame {
    return encode === undefined ? record.frame : toFrame(encode(new Publication(this.#topic, epoch, record)));
  }
}

function membersOf({ subscribers }: Variant): StreamSubscription[] {
  return [...(subscribers as ReadonlySet<StreamSubscription>)];
}
