/** The messages that an `EngineSession` has for the host at the end of the tick. */
import type { MessagePort } from "node:worker_threads";
import type { Frame } from "../../../wire/protocol/frame.ts";
import { BatchWriter } from "../../bus/batch.ts";
import { EndOfTick } from "../../scheduling/end-of-tick.ts";
import { type ClientCall, type ClientMessage, MAX_NUMBERED_TOPICS, RELAY_FLAG } from "../messages.ts";
import type { NumberedTopic } from "./publishes-under-way.ts";

/**
 * Packs publishes into batches, and other calls into lists, and posts them at the end of the tick in the order of the
 * calls. Topics get numbers, so that a publish needn't carry the name.
 */
export class Outbox {
  readonly #port: MessagePort;
  readonly #endOfTick: EndOfTick;
  readonly #batch = new BatchWriter();
  #calls: ClientCall[] = [];
  readonly #numbered = new Map<string, NumberedTopic>();
  /** Names of the topics that got their numbers since the last batch. */
  #newTopics: string[] = [];
  #renumbered = false;
  #dirty = false;
  #closed = false;

  constructor(port: MessagePort, endOfTick: EndOfTick = new EndOfTick()) {
    this.#port = port;
    this.#endOfTick = endOfTick;
  }

  /** Appends a publish or a relay. Returns the topic's number and what is known of it. */
  append(topic: string, frame: Frame, isRelay: boolean): NumberedTopic {
    this.#postCalls();
    const numbered = this.#number(topic);
    this.#batch.append(isRelay ? (numbered.number | RELAY_FLAG) >>> 0 : numbered.number, frame);
    if (this.#batch.full) this.#postBatch();
    else this.#markDirty();
    return numbered;
  }

  call(call: ClientCall): void {
    this.#postBatch();
    this.#calls.push(call);
    this.#markDirty();
  }

  /** Tells the host at once that bytes of deliveries have been handled. */
  consumed(bytes: number): void {
    this.#post({ kind: "consumed", bytes });
  }

  /** Posts what the tick gathered. Only one of the two isn't empty. */
  readonly flush = (): void => {
    this.#dirty = false;
    this.#postCalls();
    this.#postBatch();
  };

  close(): void {
    this.#closed = true;
    this.#port.close();
  }

  #number(topic: string): NumberedTopic {
    const known = this.#numbered.get(topic);
    if (known !== undefined) return known;
    if (this.#numbered.size >= MAX_NUMBERED_TOPICS) {
      this.#postBatch();
      this.#numbered.clear();
      this.#renumbered = true;
    }
    const numbered = { number: this.#numbered.size, epoch: "" };
    this.#numbered.set(topic, numbered);
    this.#newTopics.push(topic);
    return numbered;
  }

  #markDirty(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#endOfTick.add(this.flush);
  }

  #postCalls(): void {
    if (this.#calls.length === 0) return;
    this.#post({ kind: "calls", calls: this.#calls });
    this.#calls = [];
  }

  #postBatch(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch.take();
    this.#post({ kind: "publishes", batch, renumbered: this.#renumbered, topics: this.#newTopics }, [batch]);
    this.#newTopics = [];
    this.#renumbered = false;
  }

  #post(message: ClientMessage, transfer: ArrayBuffer[] = []): void {
    if (!this.#closed) this.#port.postMessage(message, transfer);
  }
}
