/**
 * The deliveries of one topic of the bus that wait, because the actor asked for that (`deliverAfter`). `Subscriptions`
 * subscribes it in the connection's place until the time has come.
 */
import type { Subscriber } from "../../runtime/bus/audience.ts";
import { type Encode, encoded } from "../../runtime/streams/publication.ts";
import type { Frame } from "../../wire/protocol/frame.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";

/** Memory of a waiting frame beyond its own bytes, in bytes. */
const FRAME_COST = 128;

export class HeldDeliveries implements Subscriber {
  readonly #subscriber: Subscriber;
  readonly #maxBytes: number;
  readonly #dropped: () => void;
  readonly #frames: Frame[] = [];
  #bytes = 0;

  /**
   * @param maxBytes bytes that wait at most; what comes then is dropped
   * @param dropped called for each frame that is dropped
   */
  constructor(subscriber: Subscriber, maxBytes: number, dropped: () => void) {
    this.#subscriber = subscriber;
    this.#maxBytes = maxBytes;
    this.#dropped = dropped;
  }

  deliver(frame: Frame): SendResult {
    const bytes = frame.end - frame.start + FRAME_COST;
    if (this.#bytes + bytes > this.#maxBytes) {
      this.#dropped();
      return "dropped";
    }
    this.#bytes += bytes;
    this.#frames.push(frame);
    return "buffered";
  }

  encodeFailed(error: unknown, topic: string): void {
    this.#subscriber.encodeFailed?.(error, topic);
  }

  /**
   * Delivers what waits.
   *
   * @param encode how the messages look to the peer, if they weren't encoded before they waited
   */
  release(topic: string, encode?: Encode): void {
    for (const frame of this.#frames.splice(0)) {
      try {
        const delivered =
          encode === undefined ? frame : encoded(topic, "", { offset: 0, timeMs: Date.now(), frame }, encode);
        if (delivered !== undefined) this.#subscriber.deliver(delivered, topic);
      } catch (error) {
        this.encodeFailed(error, topic);
        return;
      }
    }
  }
}
