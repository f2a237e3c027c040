/**
 * One end of the direct connection between two threads of the bus. `Bus` has one for each other thread. It shares its
 * port with the mail: each takes the messages of its own kinds.
 */
import type { MessagePort } from "node:worker_threads";
import type { Frame } from "../../wire/protocol/frame.ts";
import { PendingReplies } from "../../wire/transport/pending-replies.ts";
import type { EndOfTick } from "../scheduling/end-of-tick.ts";
import type { FairScheduler, ScheduledTask } from "../scheduling/fair-scheduler.ts";
import { BatchReader, BatchWriter } from "./batch.ts";
import type { MoveMessage } from "./moving/messages.ts";

/**
 * A change of the topics that one thread wants from another. `id` is the number that the wanting thread gave to the
 * topic.
 */
export type InterestChange =
  | { readonly kind: "add"; readonly topic: string; readonly id: number }
  | { readonly kind: "remove"; readonly topic: string };

type LinkMessage =
  /**
   * Changes of interest, in order: topics, and their numbers or `NOT_WANTED`. (Objects would take seven times as long
   * to clone.) Each side sends this message first, even without any change, so that the other side knows when it knows
   * all.
   */
  | {
      readonly kind: "interest";
      readonly serial: number;
      readonly topics: readonly string[];
      readonly ids: readonly number[];
    }
  | { readonly kind: "interestKnown"; readonly serial: number }
  /** Asks for an answer once everything that was sent before has been delivered. */
  | { readonly kind: "settle"; readonly serial: number }
  | { readonly kind: "settled"; readonly serial: number }
  /** `sentAt`: nanoseconds of the clock that all threads share. */
  | { readonly kind: "publishes"; readonly batch: ArrayBuffer; readonly sentAt: bigint }
  | { readonly kind: "consumed"; readonly bytes: number }
  | MoveMessage;

/** All messages on the port: those of the bus, and those of the mail, which `MailLink` takes. */
type PortMessage = LinkMessage | { readonly kind: "mail" };

/** Scheduling parts that all links of one thread share. */
export interface LinkSchedule {
  /** Time for the deliveries of publishes that arrive. */
  readonly turns: FairScheduler;
  /** Posts what a tick gathered. */
  readonly endOfTick: EndOfTick;
}

export interface LinkOwner {
  interestChanged(link: Link, changes: readonly InterestChange[]): void;
  /** Delivers a publish. Returns the number of subscribers. */
  published(topicId: number, frame: Frame, link: Link): number;
  /** A batch of publishes arrived. The lag is the time since the other thread posted the batch. */
  batchArrived(lagSeconds: number): void;
  /** Comes when all publishes that were sent before have been delivered, if the message is a mark or tells who left. */
  moveTold(link: Link, message: MoveMessage): void;
  linkClosed(link: Link): void;
  /** The link is closed, and everything that had arrived has been delivered. */
  linkEnded(link: Link): void;
}

const NOT_WANTED = -1;
/** Bytes of publishes that may be on their way to one thread. Beyond it publishes are dropped and counted. */
const WINDOW_BYTES = 64 * 1024 * 1024;
/** Bytes that a receiver delivers before it tells the sender. */
const CONSUMED_STEP_BYTES = 1024 * 1024;
/** Deliveries between two looks at the clock. */
const DELIVERIES_AT_ONCE = 64;

/**
 * Publishes that arrive are delivered in order while the turn has time. The rest waits for the next turn and counts as
 * on its way.
 */
export class Link implements ScheduledTask {
  /** Life of the thread at the other end. */
  readonly life: number;
  readonly #port: MessagePort;
  readonly #schedule: LinkSchedule;
  readonly #owner: LinkOwner;
  readonly #batch = new BatchWriter();
  #changes: InterestChange[] = [];
  /** Promise that the other side knows the changes of this tick; undefined without changes. */
  #known: PromiseWithResolvers<void> | undefined;
  /** Promises like `#known` for the messages that were posted, and for `settle` messages, by their serials. */
  readonly #awaitingKnown = new PendingReplies<PromiseWithResolvers<void>>();
  readonly #synced = Promise.withResolvers<void>();
  /** Batches that have arrived and aren't delivered to their end, as a linked list. */
  #first: BatchReader | undefined;
  #last: BatchReader | undefined;
  /** Deliveries since the last look at the clock. */
  #deliveries = 0;
  #unconsumedBytes = 0;
  #consumedBytes = 0;
  #dirty = false;
  #closed = false;

  /** @param interest all topics that this side wants now */
  constructor(
    port: MessagePort,
    life: number,
    interest: readonly InterestChange[],
    schedule: LinkSchedule,
    owner: LinkOwner,
  ) {
    this.life = life;
    this.#port = port;
    this.#schedule = schedule;
    this.#owner = owner;
    this.#postInterest(interest);
    port.on("message", (message: PortMessage) => this.#handle(message));
    port.on("close", () => this.#handleClose());
  }

  /** Resolves when the other side has told which topics it wants, or is gone. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Tells the other side at the end of the tick. Resolves when the other side knows, or is gone. */
  changeInterest(change: InterestChange): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#changes.push(change);
    this.#markDirty();
    this.#known ??= Promise.withResolvers<void>();
    return this.#known.promise;
  }

  /**
   * Queues a publish for the end of the tick. Returns false if the publish was dropped because the other side is too
   * far behind.
   */
  publish(topicId: number, frame: Frame): boolean {
    if (this.#unconsumedBytes + this.#batch.length > WINDOW_BYTES) return false;
    this.#batch.append(topicId, frame);
    if (this.#batch.full) this.#postBatch();
    else this.#markDirty();
    return true;
  }

  /** Posts what the tick gathered. */
  readonly flush = (): void => {
    this.#dirty = false;
    if (this.#changes.length > 0) {
      this.#postInterest(this.#changes);
      this.#changes = [];
    }
    if (this.#batch.length > 0) this.#postBatch();
  };

  /** Tells the other side something about a move, after everything that was published before. */
  tell(message: MoveMessage): void {
    if (this.#closed) return;
    this.flush();
    this.#post(message);
  }

  /** Resolves when the other side has delivered everything that was published before, or is gone. */
  settled(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.flush();
    const settled = Promise.withResolvers<void>();
    this.#post({ kind: "settle", serial: this.#awaitingKnown.add(settled) });
    return settled.promise;
  }

  close(): void {
    this.#port.close();
  }

  #markDirty(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#schedule.endOfTick.add(this.flush);
  }

  #postInterest(changes: readonly InterestChange[]): void {
    const topics = changes.map(({ topic }) => topic);
    const ids = changes.map((change) => (change.kind === "add" ? change.id : NOT_WANTED));
    const serial = this.#awaitingKnown.add(this.#known ?? Promise.withResolvers<void>());
    this.#known = undefined;
    this.#post({ kind: "interest", serial, topics, ids });
  }

  #postBatch(): void {
    const batch = this.#batch.take();
    this.#unconsumedBytes += batch.byteLength;
    this.#post({ kind: "publishes", batch, sentAt: process.hrtime.bigint() }, [batch]);
  }

  #post(message: LinkMessage, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer);
  }

  #handle(message: PortMessage): void {
    switch (message.kind) {
      case "interest":
        this.#owner.interestChanged(this, changesOf(message.topics, message.ids));
        this.#post({ kind: "interestKnown", serial: message.serial });
        this.#synced.resolve();
        break;
      case "settle":
        this.#inLine(() => this.#post({ kind: "settled", serial: message.serial }));
        break;
      case "settled":
      case "interestKnown":
        this.#awaitingKnown.take(message.serial)?.resolve();
        break;
      case "publishes":
        this.#owner.batchArrived(Number(process.hrtime.bigint() - message.sentAt) / 1e9);
        this.#take(new BatchReader(message.batch));
        break;
      case "consumed":
        this.#unconsumedBytes -= message.bytes;
        break;
      case "mark":
      case "left":
        this.#inLine(() => this.#owner.moveTold(this, message));
        break;
      case "coming":
      case "cut":
      case "prepared":
      case "calledOff":
        this.#owner.moveTold(this, message);
        break;
      case "mail":
        break;
    }
  }

  /** Does something when everything that has arrived until now has been delivered. */
  #inLine(task: () => void): void {
    const last = this.#first === undefined ? undefined : this.#last;
    if (last === undefined) {
      task();
      return;
    }
    last.after ??= [];
    last.after.push(task);
  }

  #take(batch: BatchReader): void {
    const waits = this.#first !== undefined;
    if (this.#first === undefined) this.#first = batch;
    else (this.#last as BatchReader).following = batch;
    this.#last = batch;
    if (!waits) this.takeTurn();
  }

  /** Delivers what has arrived, until the turn is over. */
  takeTurn(): void {
    let waits = true;
    try {
      waits = !this.#deliver();
    } finally {
      if (waits) this.#schedule.turns.add(this);
    }
  }

  /** Returns true when nothing is left. */
  #deliver(): boolean {
    for (let batch = this.#first; batch !== undefined; batch = this.#first) {
      while (!batch.ended) {
        if (this.#deliveries >= DELIVERIES_AT_ONCE) {
          if (this.#schedule.turns.over) return false;
          this.#deliveries = 0;
        }
        // A publish that no longer has subscribers takes time, too.
        this.#deliveries += 1 + batch.next(this.#published);
      }
      const { after } = batch;
      while (after !== undefined && after.length > 0) after.shift()?.();
      this.#first = batch.following;
      this.#consumed(batch.byteLength);
    }
    return true;
  }

  readonly #published = (topicId: number, frame: Frame): number => this.#owner.published(topicId, frame, this);

  #consumed(bytes: number): void {
    this.#consumedBytes += bytes;
    if (this.#consumedBytes < CONSUMED_STEP_BYTES) return;
    this.#post({ kind: "consumed", bytes: this.#consumedBytes });
    this.#consumedBytes = 0;
  }

  #handleClose(): void {
    this.#closed = true;
    this.#known?.resolve();
    for (const known of this.#awaitingKnown.takeAll()) known.resolve();
    this.#synced.resolve();
    this.#owner.linkClosed(this);
    this.#inLine(() => this.#owner.linkEnded(this));
  }
}

function changesOf(topics: readonly string[], ids: readonly number[]): InterestChange[] {
  return topics.map((topic, i) => {
    const id = ids[i] as number;
    return id === NOT_WANTED ? { kind: "remove", topic } : { kind: "add", topic, id };
  });
}
