/** The subscribers of one topic that leave for another thread. `Departing` has one object for each of its topics. */
import type { Frame } from "../../../wire/protocol/frame.ts";
import {
  type AudienceOwner,
  addSubscriber,
  deleteSubscriber,
  type LocalResult,
  NO_SUBSCRIBERS,
  type Subscriber,
} from "../audience.ts";
import { deliverToAll, type Receivers } from "../delivery.ts";
import { type Encoding, Variants } from "../variants.ts";
import type { MovingSubscribers } from "./moving-subscribers.ts";

export interface LeavingOwner {
  /** Takes a message: delivers it, or keeps it because the other thread has it, too. */
  take(leaving: LeavingSubscribers, frame: Frame, origin: number, except: Subscriber | undefined): LocalResult;
}

export class LeavingSubscribers implements MovingSubscribers {
  readonly name: string;
  readonly #owner: LeavingOwner;
  readonly #audience: AudienceOwner;
  readonly #receivers: Receivers;
  /** Number of subscribers. */
  size = 0;

  constructor(name: string, owner: LeavingOwner, audience: AudienceOwner) {
    this.name = name;
    this.#owner = owner;
    this.#audience = audience;
    this.#receivers = { name, subscribers: NO_SUBSCRIBERS, group: undefined, absent: undefined, encoded: undefined };
  }

  add(subscriber: Subscriber, encode: Encoding): void {
    this.size++;
    if (encode === undefined) {
      addSubscriber(this.#receivers, subscriber);
    } else {
      this.#receivers.encoded ??= new Variants(this.name);
      this.#receivers.encoded.add(subscriber, encode);
    }
  }

  has(subscriber: Subscriber, encode: Encoding): boolean {
    if (encode === undefined) return this.#receivers.subscribers.has(subscriber);
    return this.#receivers.encoded?.has(subscriber, encode) === true;
  }

  delete(subscriber: Subscriber, encode: Encoding): boolean {
    const was =
      encode === undefined
        ? deleteSubscriber(this.#receivers, subscriber)
        : this.#receivers.encoded?.delete(subscriber, encode) === true;
    if (was) this.size--;
    return was;
  }

  take(frame: Frame, origin: number, except: Subscriber | undefined): LocalResult {
    return this.#owner.take(this, frame, origin, except);
  }

  deliver(frame: Frame, except: Subscriber | undefined): LocalResult {
    return deliverToAll(this.#receivers, frame, this.#audience, except);
  }
}
