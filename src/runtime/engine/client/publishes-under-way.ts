/**
 * The publishes and relays of an `EngineSession` that the host has not acknowledged. There may be hundreds of thousands
 * in a second, so one timer serves all, where `PendingReplies` has one for each request.
 */
import { reviveOurError } from "../../../errors.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import { type EnginePublished, NO_POSITION } from "../../streams/engine.ts";
import type { HostMessage } from "../messages.ts";

/** A topic that has a number on the port. */
export interface NumberedTopic {
  readonly number: number;
  /** Epoch of the last publish that was acknowledged. */
  epoch: string;
}

interface PublishUnderWay {
  readonly topic: NumberedTopic;
  readonly bytes: number;
  /** undefined for a relay, and for a publish whose deadline is over. */
  publish: PromiseWithResolvers<EnginePublished> | undefined;
}

/** Looks at the deadlines in the time of one deadline. A publish waits for up to one fifth longer than its deadline. */
const LOOKS = 5;

/** Least number of serials that were taken before the array is cut. */
const MIN_CUT = 1_024;

/**
 * Publishes and relays under way, by serial. An expired publish counts until the host acknowledges it: it takes the
 * host's memory.
 */
export class PublishesUnderWay {
  /**
   * Publishes by serial, from `#firstSerial` on; undefined once the host has acknowledged one. Most are acknowledged in
   * order.
   */
  #waiting: (PublishUnderWay | undefined)[] = [];
  #firstSerial = 0;
  /** Index of the oldest publish that waits. */
  #oldest = 0;
  #size = 0;
  readonly #timeoutMs: number;
  readonly #expired: () => Error;
  readonly #failed: () => void;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The next serial at each of the last looks: a publish with a smaller serial is older. */
  #looks: number[] = [];

  /**
   * @param expired creates the error of publishes that weren't acknowledged within `timeoutMs`
   * @param failed called for each publish that is rejected
   */
  constructor(timeoutMs: number, expired: () => Error, failed: () => void) {
    this.#timeoutMs = timeoutMs;
    this.#expired = expired;
    this.#failed = failed;
  }

  /** Number of publishes and relays. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of their frames. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds the publish, or with `publish` undefined the relay, that is the next record of the port. */
  add(topic: NumberedTopic, bytes: number, publish: PromiseWithResolvers<EnginePublished> | undefined): void {
    this.#bytes += bytes;
    this.#size++;
    this.#waiting.push({ topic, bytes, publish });
    this.#timer ??= setInterval(this.#look, this.#timeoutMs / LOOKS);
  }

  /** Resolves when every publish that waits now has been acknowledged, or rejected. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#waiting.map((waiting) => waiting?.publish?.promise));
  }

  /** Settles what the host acknowledges. */
  acknowledge({ serials, offsets, epochs, failed }: Extract<HostMessage, { kind: "acknowledged" }>): void {
    let change = 0;
    for (let i = 0; i < serials.length; i++) {
      const serial = serials[i] as number;
      const waiting = this.#take(serial);
      if (waiting === undefined) continue;
      if (serial === epochs[change]?.serial) waiting.topic.epoch = epochs[change++]?.epoch ?? "";
      if (waiting.publish === undefined) continue;
      const offset = offsets[i] as number;
      const position = offset === 0 ? NO_POSITION : { epoch: waiting.topic.epoch, offset };
      waiting.publish.resolve({ position, duplicate: false });
    }
    for (const { error, serials } of failed) {
      const revived = reviveOurError(error);
      for (const serial of serials) this.#reject(this.#take(serial), revived);
    }
    if (this.#size === 0) this.#stopTimer();
    else this.#cut();
  }

  /** Rejects all: the port is closed. */
  end(error: Error): void {
    this.#stopTimer();
    for (const waiting of this.#waiting) this.#reject(waiting, error);
    this.#firstSerial = this.#nextSerial;
    this.#waiting = [];
    this.#oldest = 0;
    this.#size = 0;
    this.#bytes = 0;
  }

  get #nextSerial(): number {
    return this.#firstSerial + this.#waiting.length;
  }

  #take(serial: number): PublishUnderWay | undefined {
    const waiting = this.#waiting[serial - this.#firstSerial];
    if (waiting === undefined) return undefined;
    this.#waiting[serial - this.#firstSerial] = undefined;
    this.#size--;
    this.#bytes -= waiting.bytes;
    return waiting;
  }

  /** Removes what has been taken from the front of the array, when it is half of the array. */
  #cut(): void {
    while (this.#oldest < this.#waiting.length && this.#waiting[this.#oldest] === undefined) this.#oldest++;
    if (this.#oldest < MIN_CUT || this.#oldest * 2 < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#oldest);
    this.#firstSerial += this.#oldest;
    this.#oldest = 0;
  }

  #reject(waiting: PublishUnderWay | undefined, error: Error): void {
    if (waiting?.publish === undefined) return;
    this.#failed();
    // A rejection that nobody awaits does no harm.
    waiting.publish.promise.catch(noop);
    waiting.publish.reject(error);
    waiting.publish = undefined;
  }

  readonly #look = (): void => {
    const limit = this.#looks.length >= LOOKS ? (this.#looks.shift() as number) : 0;
    this.#looks.push(this.#nextSerial);
    if (limit === 0) return;
    let error: Error | undefined;
    for (let index = this.#oldest; index < limit - this.#firstSerial; index++) {
      const waiting = this.#waiting[index];
      if (waiting === undefined) continue;
      error ??= this.#expired();
      this.#reject(waiting, error);
    }
  };

  #stopTimer(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#looks = [];
  }
}
