/**
 * The subscribers of one topic in one thread, by how a message looks to their peers. A message is encoded once for all
 * subscribers with the same `encode`. Topics of the bus and feeds have one each.
 */
import type { Frame } from "../../wire/protocol/frame.ts";
import type { Encode } from "../streams/publication.ts";
import {
  type Audience,
  type AudienceOwner,
  addResult,
  addSubscriber,
  deleteSubscriber,
  deliverTo,
  type LocalResult,
  NO_SUBSCRIBERS,
  type Subscriber,
} from "./audience.ts";

export type Encoding = Encode | undefined;

/** The subscribers with the same `encode`. */
interface Variant extends Audience {
  readonly encode: Encoding;
}

export class Variants<S extends Subscriber> {
  readonly #topic: string;
  readonly #variants = new Map<Encoding, Variant>();

  constructor(topic: string) {
    this.#topic = topic;
  }

  get isEmpty(): boolean {
    return this.#variants.size === 0;
  }

  add(subscriber: S, encode: Encoding): void {
    let variant = this.#variants.get(encode);
    if (variant === undefined) {
      variant = { name: this.#topic, subscribers: NO_SUBSCRIBERS, group: undefined, absent: undefined, encode };
      this.#variants.set(encode, variant);
    }
    addSubscriber(variant, subscriber);
  }

  /** Returns true if it was a subscriber. */
  delete(subscriber: S, encode: Encoding): boolean {
    const variant = this.#variants.get(encode);
    if (variant === undefined || !deleteSubscriber(variant, subscriber)) return false;
    if (variant.subscribers.size === 0) this.#variants.delete(encode);
    return true;
  }

  has(subscriber: S, encode: Encoding): boolean {
    return this.#variants.get(encode)?.subscribers.has(subscriber) === true;
  }

  /** Returns all subscribers as they are now. */
  all(): S[] {
    return [...this.#variants.values()].flatMap((variant) => this.#membersOf(variant));
  }

  /**
   * Delivers a message to all.
   *
   * @param frameOf returns the message as subscribers with an `encode` get it; undefined if they don't get it
   * @param failed called for each subscriber whose `encode` threw
   */
  deliver(
    frameOf: (encode: Encoding) => Frame | undefined,
    owner: AudienceOwner,
    failed: (subscriber: S, error: unknown) => void,
    except?: Subscriber,
  ): LocalResult {
    const result = { delivered: 0, buffered: 0, dropped: 0, closed: 0 };
    for (const variant of this.#variants.values()) {
      let frame: Frame | undefined;
      try {
        frame = frameOf(variant.encode);
      } catch (error) {
        for (const subscriber of this.#membersOf(variant)) failed(subscriber, error);
        continue;
      }
      if (frame === undefined) continue;
      addResult(result, deliverTo(variant, frame, owner, except));
    }
    return result;
  }

  #membersOf({ subscribers }: Variant): S[] {
    return [...(subscribers as ReadonlySet<S>)];
  }
}
