/**
 * One client as the engine thread sees it: its port, its window, its publishes. `EngineHost` has one for each client.
 */
import type { MessagePort } from "node:worker_threads";
import { reportError, SwitchboardError } from "../../../errors.ts";
import type { Frame } from "../../../wire/protocol/frame.ts";
import { queuedMessages } from "../../../wire/transport/queued-messages.ts";
import { BatchReader, BatchWriter } from "../../bus/batch.ts";
import type { EndOfTick } from "../../scheduling/end-of-tick.ts";
import type { FairScheduler } from "../../scheduling/fair-scheduler.ts";
import type { StreamRecord } from "../../streams/publication.ts";
import { Inbox } from "../inbox.ts";
import {
  type ClientCall,
  type ClientMessage,
  type EngineAnswers,
  type EngineRequest,
  type HostMessage,
  type HostNotice,
  windowBytes,
} from "../messages.ts";
import type { Interest } from "./host-topics.ts";
import { PublishReceiver, type PublishTarget } from "./publish-receiver.ts";

export interface HostClientOwner extends PublishTarget {
  called(client: HostClient, call: ClientCall): void;
  /** Deliveries to these interests were dropped, and there is room again. */
  roomAgain(interests: Iterable<Interest<HostClient>>): void;
  /** The client is gone, and everything that it sent has been handled. */
  clientGone(client: HostClient): void;
}

/** Scheduling parts and the window that all clients of the host share. */
export interface HostSchedule {
  readonly turns: FairScheduler;
  readonly endOfTick: EndOfTick;
  /** Bytes of deliveries that may be under way to one client. */
  readonly windowBytes: number;
}

/**
 * Deliveries are packed into batches, everything else into lists; both leave in the order of the calls, at the end of
 * the tick. Beyond the window deliveries are dropped, and the client is told the tops of their topics later.
 */
export class HostClient {
  /** True for the client of the main thread. */
  readonly isMain: boolean;
  readonly #port: MessagePort;
  readonly #owner: HostClientOwner;
  readonly #schedule: HostSchedule;
  readonly #inbox: Inbox<ClientMessage | "closed">;
  readonly #publishes: PublishReceiver;
  readonly #batch = new BatchWriter();
  #notices: HostNotice[] = [];
  #dirty = false;
  #closed = false;
  #unconsumedBytes = 0;
  /** Interests with deliveries that were dropped. */
  #missed = new Set<Interest<HostClient>>();
  /** The newest notices of states that wait for room, by state. */
  #states = new Map<string, HostNotice>();
  /** Number of deliveries and notices that were dropped. */
  dropped = 0;
  /** Topics that the client wants, by name. */
  readonly interests = new Map<string, Interest<HostClient>>();
  /** Addresses of the members that the client has joined, by topic. */
  readonly joined = new Map<string, Set<string>>();
  /** Number of the client's thread; undefined if the client hasn't told it. */
  life: number | undefined;

  constructor(port: MessagePort, isMain: boolean, schedule: HostSchedule, owner: HostClientOwner) {
    this.isMain = isMain;
    this.#port = port;
    this.#owner = owner;
    this.#schedule = schedule;
    this.#inbox = new Inbox(this, schedule.turns);
    this.#publishes = new PublishReceiver(owner, () => this.#markDirty());
    port.on("message", (message: ClientMessage) => this.#receive(message));
    port.on("close", () => {
      this.#closed = true;
      this.#inbox.add("closed");
    });
  }

  /** Delivers a publication. */
  deliver(interest: Interest<HostClient>, epoch: string, record: StreamRecord): void {
    if (!this.#hasRoom()) {
      if (!interest.isInterrupted) this.notice({ kind: "interrupted", number: interest.number });
      interest.isInterrupted = true;
      this.#miss(interest);
      return;
    }
    if (interest.epoch !== epoch) {
      interest.epoch = epoch;
      this.notice({ kind: "epochChanged", number: interest.number, epoch });
    }
    this.#append(interest.number, record);
  }

  /** Delivers a message without history. */
  relay({ number }: Interest<HostClient>, frame: Frame): void {
    if (this.#hasRoom()) this.#append(number, { offset: 0, timeMs: 0, frame });
    else this.dropped++;
  }

  /** Tells the client something about a topic that the client learns in another way if there is no room now. */
  noticeOf(interest: Interest<HostClient>, notice: HostNotice): void {
    if (this.#hasRoom()) this.notice(notice);
    else this.#miss(interest);
  }

  /** Sends a notice. One that can be dropped is dropped while there is no room. */
  notice(notice: HostNotice): void {
    const bytes = windowBytes(notice);
    if (bytes > 0 && !this.#hasRoom()) {
      this.dropped++;
      return;
    }
    this.#unconsumedBytes += bytes;
    this.#postBatch();
    this.#notices.push(notice);
    this.#markDirty();
  }

  /**
   * Sends a notice of something that has one newest state. While there is no room, the newest notice of each state
   * waits, and older ones are forgotten.
   */
  stateNotice(state: string, notice: HostNotice): void {
    this.#states.delete(state);
    if (this.#hasRoom()) this.notice(notice);
    else this.#states.set(state, notice);
  }

  /** Answers a request. */
  answer<Kind extends EngineRequest["kind"]>(serial: number, answer: EngineAnswers[Kind]): void {
    const notice: HostNotice = { kind: "answered", serial, answer };
    if (this.#hasRoom() || windowBytes(notice) === 0) this.notice(notice);
    else this.refuse(serial, new SwitchboardError("ERR_ENGINE_FULL", "too many bytes are under way from the engine"));
  }

  refuse(serial: number, error: unknown): void {
    this.notice({ kind: "refused", serial, error: reportError(error) });
  }

  /** Handles at once everything that the client has sent. */
  takeAll(): void {
    for (const message of queuedMessages<ClientMessage>(this.#port)) this.#receive(message);
    this.#inbox.finish();
  }

  /** Posts what is left and closes the port. */
  close(): void {
    this.#flush();
    this.#closed = true;
    this.#port.close();
  }

  /** Forgets an interest whose deliveries may have been dropped. */
  forget(interest: Interest<HostClient>): void {
    this.#missed.delete(interest);
  }

  #hasRoom(): boolean {
    return this.#unconsumedBytes + this.#batch.length <= this.#schedule.windowBytes;
  }

  #miss(interest: Interest<HostClient>): void {
    this.dropped++;
    this.#missed.add(interest);
  }

  #receive(message: ClientMessage): void {
    // A message that makes room doesn't wait behind publishes.
    if (message.kind === "consumed") this.#consumed(message.bytes);
    else this.#inbox.add(message);
  }

  #consumed(bytes: number): void {
    this.#unconsumedBytes -= bytes;
    if (this.#unconsumedBytes > this.#schedule.windowBytes / 2) return;
    if (this.#states.size > 0) {
      const states = this.#states;
      this.#states = new Map();
      for (const [state, notice] of states) this.stateNotice(state, notice);
    }
    if (this.#missed.size === 0) return;
    const missed = this.#missed;
    this.#missed = new Set();
    for (const interest of missed) interest.isInterrupted = false;
    this.#owner.roomAgain(missed);
  }

  /** Handles a message of the inbox. */
  handle(message: ClientMessage | "closed"): BatchReader | undefined {
    if (message === "closed") {
      this.#owner.clientGone(this);
      return undefined;
    }
    switch (message.kind) {
      case "publishes":
        this.#publishes.number(message.topics, message.renumbered);
        return new BatchReader(message.batch);
      case "calls":
        for (const call of message.calls) this.#owner.called(this, call);
    }
    return undefined;
  }

  /** Handles a record of the inbox. */
  handleRecord(batch: BatchReader): void {
    batch.next(this.#publishes.receive);
  }

  /** Does nothing: acknowledgements account for batches. */
  batchEnded(): void {}

  #append(number: number, record: StreamRecord): void {
    this.#postNotices();
    this.#batch.appendRecord(number, record);
    if (this.#batch.full) this.#postBatch();
    else this.#markDirty();
  }

  #markDirty(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#schedule.endOfTick.add(this.#flush);
  }

  readonly #flush = (): void => {
    this.#dirty = false;
    this.#postNotices();
    this.#postBatch();
    const acknowledged = this.#publishes.take();
    if (acknowledged !== undefined) {
      this.#post(acknowledged, [acknowledged.serials.buffer, acknowledged.offsets.buffer]);
    }
  };

  #postNotices(): void {
    if (this.#notices.length === 0) return;
    const notices = this.#notices;
    this.#notices = [];
    const transfer: ArrayBuffer[] = [];
    for (const notice of notices) {
      if (notice.kind === "answered" && notice.answer !== undefined && "batch" in notice.answer) {
        transfer.push(notice.answer.batch);
      }
    }
    this.#post({ kind: "notices", notices }, transfer);
  }

  #postBatch(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch.take();
    this.#unconsumedBytes += batch.byteLength;
    this.#post({ kind: "deliveries", batch }, [batch]);
  }

  #post(message: HostMessage, transfer: ArrayBuffer[]): void {
    if (!this.#closed) this.#port.postMessage(message, transfer);
  }
}
