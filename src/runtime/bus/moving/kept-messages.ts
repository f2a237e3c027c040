/**
 * Messages that wait until a move of subscribers is decided: in the thread that is left for those that may stay, in the
 * other thread for those that arrive.
 */
import type { Frame } from "../../../wire/protocol/frame.ts";
import { encoded } from "../../streams/publication.ts";
import type { AudienceOwner, Subscriber } from "../audience.ts";
import type { BusSubscription } from "./move.ts";

/** Memory of a message beyond its own bytes, in bytes. */
const MESSAGE_COST = 192;

interface KeptMessage {
  readonly topic: string;
  readonly frame: Frame;
  /** Publisher that doesn't get the message. */
  readonly except: Subscriber | undefined;
}

/** Messages in the order of their arrival. The owner bounds the bytes. */
export class KeptMessages {
  readonly #messages: KeptMessage[] = [];
  bytes = 0;

  /** Copies the message: a frame of a few bytes would keep the whole batch that it came in. */
  add(topic: string, { block, start, end }: Frame, except: Subscriber | undefined): void {
    const bytes = end - start;
    this.#messages.push({
      topic,
      frame: { block: Buffer.from(block.subarray(start, end)), start: 0, end: bytes },
      except,
    });
    this.bytes += bytes + MESSAGE_COST;
  }

  /**
   * Delivers all messages to subscriptions of one connection.
   *
   * @param subscriptions by topic; one that is deleted meanwhile gets no more
   */
  deliverTo(subscriptions: ReadonlyMap<string, BusSubscription>, audience: AudienceOwner): void {
    for (const { topic, frame, except } of this.#messages) {
      const subscription = subscriptions.get(topic);
      if (subscription === undefined || subscription.subscriber === except) continue;
      if (deliver(subscription, frame)) audience.delivered?.(1);
    }
  }
}

/** Returns true if the connection took the message. */
function deliver({ topic, subscriber, encode }: BusSubscription, frame: Frame): boolean {
  try {
    const shown = encoded(topic, "", { offset: 0, timeMs: Date.now(), frame }, encode);
    return shown !== undefined && subscriber.deliver(shown, topic) !== "closed";
  } catch (error) {
    subscriber.encodeFailed?.(error, topic);
    return false;
  }
}
