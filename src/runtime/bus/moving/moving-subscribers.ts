/** Subscribers of one topic that are on their way between two threads. A topic has some only while they move. */
import type { Frame } from "../../../wire/protocol/frame.ts";
import type { LocalResult, Subscriber } from "../audience.ts";
import type { Encoding } from "../variants.ts";

/** Origin of messages that come from the engine thread: what other nodes publish. */
export const ENGINE_ORIGIN = -1;

export interface MovingSubscribers {
  /**
   * Takes a message: delivers it, keeps it, or leaves it to the other thread.
   *
   * @param origin life of the thread that published, or `ENGINE_ORIGIN`
   */
  take(frame: Frame, origin: number, except: Subscriber | undefined): LocalResult;
  has(subscriber: Subscriber, encode: Encoding): boolean;
  /** Returns true if it was one of the subscribers. */
  delete(subscriber: Subscriber, encode: Encoding): boolean;
}
