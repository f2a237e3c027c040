/** One life of the port between an `EngineClient` and the engine thread, with everything that ends with the port. */
import type { MessagePort } from "node:worker_threads";
import { reviveOurError, SwitchboardError } from "../../../errors.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import type { Frame } from "../../../wire/protocol/frame.ts";
import { PendingReplies } from "../../../wire/transport/pending-replies.ts";
import { BatchReader } from "../../bus/batch.ts";
import type { EndOfTick } from "../../scheduling/end-of-tick.ts";
import type { FairScheduler } from "../../scheduling/fair-scheduler.ts";
import type { EnginePublished } from "../../streams/engine.ts";
import type { StreamRecord } from "../../streams/publication.ts";
import { Inbox } from "../inbox.ts";
import {
  type ClientCall,
  type EngineAnswers,
  type EngineRequest,
  type HostMessage,
  type HostNotice,
  requestBytes,
  windowBytes,
} from "../messages.ts";
import { Outbox } from "./outbox.ts";
import { PublishesUnderWay } from "./publishes-under-way.ts";

export interface EngineClientSettings {
  /** Time that the engine thread has for an answer, in ms. Default: 5 s. */
  readonly timeoutMs?: number;
  /** Bytes of publishes that may be under way. Default: 64 MiB. */
  readonly maxBytesUnderWay?: number;
  /** Number of publishes, and number of requests, that may be under way. Default: 65,536. */
  readonly maxUnderWay?: number;
  /** Number of the client's thread, unique in the board. Without it no subscriber moves from or to the thread. */
  readonly life?: number;
}

export interface SessionOwner {
  /** A publication, or with offset 0 a relayed message, of the topic with this number. */
  delivered(number: number, record: StreamRecord): void;
  noticed(notice: Exclude<HostNotice, { kind: "answered" | "refused" }>): void;
  /** A publish without options is rejected. */
  publishFailed(): void;
  /** The engine thread has ended, or has closed the port. Not called after `close`. */
  sessionEnded(session: EngineSession): void;
}

/** Scheduling parts that all sessions of one thread share. */
export interface SessionSchedule {
  readonly turns: FairScheduler;
  readonly endOfTick: EndOfTick;
}

interface PendingRequest {
  answer(answer: unknown): void;
  reject(error: Error): void;
  readonly settled: Promise<unknown>;
}

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_MAX_BYTES_UNDER_WAY = 64 * 1024 * 1024;
const DEFAULT_MAX_UNDER_WAY = 65_536;
/** Time after which a renewal that failed is tried again, in ms. */
const RENEW_AGAIN_MS = 1_000;
/** Bytes that are handled before the host is told. */
const CONSUMED_STEP_BYTES = 1024 * 1024;

/** An error for a call that the engine thread can't do. */
export function unavailable(message: string): SwitchboardError {
  return new SwitchboardError("ERR_ENGINE_UNAVAILABLE", message);
}

/** A rejection that does no harm if nobody awaits it. */
export function rejected(error: Error): Promise<never> {
  const rejection = Promise.reject(error);
  rejection.catch(noop);
  return rejection;
}

/** The use of one port to the host. After its end, the client makes another session with the next port. */
export class EngineSession {
  readonly #owner: SessionOwner;
  readonly #timeoutMs: number;
  readonly #maxBytes: number;
  readonly #maxUnderWay: number;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox<HostMessage>;
  readonly #publishes: PublishesUnderWay;
  readonly #pending = new PendingReplies<PendingRequest>();
  /** Bytes of each request that the host has not answered, by serial; also of requests whose deadline is over. */
  readonly #unanswered = new Map<number, number>();
  /** Timers of renewals that failed. */
  readonly #renewals = new Set<NodeJS.Timeout>();
  #requestBytes = 0;
  #consumedBytes = 0;
  #ended = false;

  constructor(port: MessagePort, owner: SessionOwner, schedule: SessionSchedule, settings: EngineClientSettings) {
    this.#owner = owner;
    this.#timeoutMs = settings.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#maxBytes = settings.maxBytesUnderWay ?? DEFAULT_MAX_BYTES_UNDER_WAY;
    this.#maxUnderWay = settings.maxUnderWay ?? DEFAULT_MAX_UNDER_WAY;
    this.#outbox = new Outbox(port, schedule.endOfTick);
    this.#inbox = new Inbox(this, schedule.turns);
    this.#publishes = new PublishesUnderWay(
      this.#timeoutMs,
      () => this.#late(),
      () => owner.publishFailed(),
    );
    port.on("message", (message: HostMessage) => this.#receive(message));
    port.on("close", () => this.#end());
  }

  /** Publishes without other options. Rejects with `ERR_ENGINE_FULL` while too much is under way. */
  publish(topic: string, frame: Frame, isStored = true): Promise<EnginePublished> {
    const bytes = frame.end - frame.start;
    if (!this.#hasRoom(bytes)) {
      this.#owner.publishFailed();
      return rejected(this.#full());
    }
    const publish = Promise.withResolvers<EnginePublished>();
    this.#publishes.add(this.#outbox.append(topic, frame, !isStored), bytes, publish);
    return publish.promise;
  }

  /** Relays a message. Returns false if the message was dropped because too much is under way. */
  relay(topic: string, frame: Frame): boolean {
    const bytes = frame.end - frame.start;
    if (!this.#hasRoom(bytes)) return false;
    this.#publishes.add(this.#outbox.append(topic, frame, true), bytes, undefined);
    return true;
  }

  /**
   * Asks the host. `answered` is called with the answer, in order with the deliveries, before the promise resolves.
   * Rejects with `ERR_ENGINE_FULL`, with `ERR_ENGINE_UNAVAILABLE` when no answer comes in time, or with the engine's
   * error.
   */
  request<Kind extends EngineRequest["kind"]>(
    request: Extract<EngineRequest, { kind: Kind }>,
    answered?: (answer: EngineAnswers[Kind]) => void,
    timeoutMs = this.#timeoutMs,
  ): Promise<EngineAnswers[Kind]> {
    const bytes = requestBytes(request);
    const hasRoom = this.#unanswered.size < this.#maxUnderWay && (bytes === 0 || this.#hasRoom(bytes));
    // A member that couldn't leave would stay for ever. There are no more leaves than joins.
    if (!hasRoom && request.kind !== "leave") return Promise.reject(this.#full());
    const reply = Promise.withResolvers<EngineAnswers[Kind]>();
    const pending: PendingRequest = {
      answer: (answer) => {
        answered?.(answer as EngineAnswers[Kind]);
        reply.resolve(answer as EngineAnswers[Kind]);
      },
      reject: reply.reject,
      settled: reply.promise,
    };
    const serial = this.#pending.addUntil(pending, timeoutMs, ({ reject }) => reject(this.#late()));
    this.#unanswered.set(serial, bytes);
    this.#requestBytes += bytes;
    this.#outbox.call({ kind: "request", serial, request });
    return reply.promise;
  }

  /** Makes a call that has no answer. */
  call(call: Exclude<ClientCall, { kind: "request" }>): void {
    this.#outbox.call(call);
  }

  /** Calls `renew` after a second, unless the session ends first: the next session begins anew. */
  later(renew: () => void): void {
    if (this.#ended) return;
    const timer = setTimeout(() => {
      this.#renewals.delete(timer);
      renew();
    }, RENEW_AGAIN_MS);
    this.#renewals.add(timer);
  }

  /** Resolves when everything that waits for the host now has been answered, or rejected. */
  async answered(): Promise<void> {
    const requests = Array.from(this.#pending.requests(), ({ settled }) => settled);
    await Promise.allSettled([this.#publishes.settled(), ...requests]);
  }

  /** Posts what the tick gathered, then closes the port. Everything that waits is rejected. */
  close(): void {
    this.#outbox.flush();
    this.#settleAll();
  }

  #hasRoom(bytes: number): boolean {
    const { size, bytes: underWay } = this.#publishes;
    return size < this.#maxUnderWay && underWay + this.#requestBytes + bytes <= this.#maxBytes;
  }

  #receive(message: HostMessage): void {
    if (this.#ended) return;
    // Acknowledgements need no order, so they don't wait for deliveries.
    if (message.kind === "acknowledged") this.#publishes.acknowledge(message);
    else this.#inbox.add(message);
  }

  /** Handles a message of the inbox. */
  handle(message: HostMessage): BatchReader | undefined {
    if (message.kind === "deliveries") return new BatchReader(message.batch);
    if (message.kind === "notices") for (const notice of message.notices) this.#notice(notice);
    return undefined;
  }

  /** Handles a record of the inbox. */
  handleRecord(batch: BatchReader): void {
    batch.nextRecord(this.#delivered);
  }

  /** Accounts a batch of the inbox. */
  batchEnded(bytes: number): void {
    this.#consumed(bytes);
  }

  readonly #delivered = (number: number, record: StreamRecord): void => this.#owner.delivered(number, record);

  #notice(notice: HostNotice): void {
    this.#consumed(windowBytes(notice));
    switch (notice.kind) {
      case "answered":
        this.#release(notice.serial);
        this.#pending.take(notice.serial)?.answer(notice.answer);
        return;
      case "refused":
        this.#release(notice.serial);
        this.#pending.take(notice.serial)?.reject(reviveOurError(notice.error));
        return;
      default:
        this.#owner.noticed(notice);
    }
  }

  #release(serial: number): void {
    this.#requestBytes -= this.#unanswered.get(serial) ?? 0;
    this.#unanswered.delete(serial);
  }

  #consumed(bytes: number): void {
    this.#consumedBytes += bytes;
    if (this.#consumedBytes < CONSUMED_STEP_BYTES) return;
    this.#outbox.consumed(this.#consumedBytes);
    this.#consumedBytes = 0;
  }

  #end(): void {
    if (this.#ended) return;
    this.#settleAll();
    this.#owner.sessionEnded(this);
  }

  #settleAll(): void {
    this.#ended = true;
    for (const timer of this.#renewals) clearTimeout(timer);
    this.#outbox.close();
    this.#inbox.clear();
    const error = unavailable("the engine thread has ended before it answered");
    this.#publishes.end(error);
    for (const { reject } of this.#pending.takeAll()) reject(error);
  }

  #late(): SwitchboardError {
    return unavailable(`the engine has not answered within ${this.#timeoutMs} ms`);
  }

  #full(): SwitchboardError {
    const { size, bytes } = this.#publishes;
    const message = `too much is under way to the engine: ${size} publishes, ${this.#unanswered.size} requests, ${bytes + this.#requestBytes} bytes`;
    return new SwitchboardError("ERR_ENGINE_FULL", message);
  }
}
