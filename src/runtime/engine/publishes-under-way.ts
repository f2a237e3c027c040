/**
 * The publishes and relays of an `EngineSession` that the host has not acknowledged. There may be hundreds of thousands
 * in a second, so one timer serves all, where `PendingReplies` has one for each request.
 */
import { reviveOurError } from "../../errors.ts";
import type { EnginePublished } from "../streams/engine.ts";
import type { HostMessage } from "./messages.ts";

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

/** What is under way, by serial. What has expired counts until the host acknowledges it: it takes the host's memory. */
export class PublishesUnderWay {
  readonly #waiting = new Map<number, PublishUnderWay>();
  readonly #timeoutMs: number;
  readonly #expired: () => Error;
  #nextSerial = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The next serial at each of the last looks: what has a smaller one is older. */
  #looks: number[] = [];

  /** @param expired creates the error of publishes that weren't acknowledged within `timeoutMs` */
  constructor(timeoutMs: number, expired: () => Error) {
    this.#timeoutMs = timeoutMs;
    this.#expired = expired;
  }

  /** Number of publishes and relays. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Bytes of their frames. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds the publish, or with `publish` undefined the relay, that is the next record of the port. */
  add(topic: NumberedTopic, bytes: number, publish: PromiseWithResolvers<EnginePublished> | undefined): void {
    this.#bytes += bytes;
    this.#waiting.set(this.#nextSerial++, { topic, bytes, publish });
    this.#timer ??= setInterval(this.#look, this.#timeoutMs / LOOKS);
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
      const position = { epoch: waiting.topic.epoch, offset: offsets[i] as number };
      waiting.publish.resolve({ position, duplicate: false });
    }
    for (const { error, serials } of failed) {
      const revived = reviveOurError(error);
      for (const serial of serials) this.#take(serial)?.publish?.reject(revived);
    }
    if (this.#waiting.size === 0) this.#stopTimer();
  }

  /** Rejects all: the port is closed. */
  end(error: Error): void {
    this.#stopTimer();
    for (const { publish } of this.#waiting.values()) publish?.reject(error);
    this.#waiting.clear();
    this.#bytes = 0;
  }

  #take(serial: number): PublishUnderWay | undefined {
    const waiting = this.#waiting.get(serial);
    if (waiting === undefined) return undefined;
    this.#waiting.delete(serial);
    this.#bytes -= waiting.bytes;
    return waiting;
  }

  readonly #look = (): void => {
    const limit = this.#looks.length >= LOOKS ? (this.#looks.shift() as number) : 0;
    this.#looks.push(this.#nextSerial);
    if (limit === 0) return;
    let error: Error | undefined;
    // In a map, the oldest come first.
    for (const [serial, waiting] of this.#waiting) {
      if (serial >= limit) return;
      error ??= this.#expired();
      waiting.publish?.reject(error);
      waiting.publish = undefined;
    }
  };

  #stopTimer(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#looks = [];
  }
}
