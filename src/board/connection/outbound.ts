import type { SlowConsumerPolicy } from "../../runtime/actor/send-results.ts";
import type { FairScheduler, ScheduledTask } from "../../runtime/scheduling/fair-scheduler.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import { encodeFrame, type Frame } from "../../wire/protocol/frame.ts";
import { Opcode } from "../../wire/protocol/opcode.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";
import type { Transport } from "../../wire/transport/transport.ts";
import { Backlog } from "./backlog.ts";
import { type BroadcastGroup, EARLY_FLUSH_BYTES } from "./broadcast-group.ts";
import type { FlushQueue } from "./flush-queue.ts";
import type { FrameChain } from "./frame-chain.ts";

const NO_PAYLOAD = Buffer.alloc(0);
/** Below this they may wait for a turn that has time for so large a write: a fan-out of them to hundreds takes tens of ms. */
const MAX_PENDING_BYTES = 1024 * 1024;
/** With less than this waiting every ping is answered: over TLS something waits in each tick, however fast the peer reads. */
const PONG_ROOM_BYTES = 4 * 1024;
/** What a transport gets at once of what waited: what it has can't be dropped any more. */
const SLICE_BYTES = 64 * 1024;
/** Memory of a waiting piece beyond its bytes: so that many small ones are bounded, too. */
const PIECE_COST = 128;

export interface OutboundHost {
  readonly flushQueue: FlushQueue;
  readonly turns: FairScheduler;
  /** Where those add themselves that wait for their peer. Whoever reads it takes those out that no longer do. */
  readonly behind?: Set<Outbound>;
  readonly counters: Counters;
  readonly options: { readonly maxBufferedBytes: number; readonly slowConsumerPolicy: SlowConsumerPolicy };
}

export interface OutboundOwner {
  /** As much waits as may wait. Told once until nothing waits any more. */
  boundReached(policy: SlowConsumerPolicy, bufferedBytes: number): void;
}

/**
 * What one connection has to write. Frames leave at the end of the tick; while the transport is behind, because its peer doesn't read,
 * they wait in a backlog, from which they can still be dropped. Bounded: what happens to a frame that would make more than
 * `maxBufferedBytes` wait is the policy. (What the operating system takes doesn't wait; a single frame always fits when nothing else does.)
 *
 * Large writes are done while the shard's turn has time; those beyond that wait in line with the shard's other work, but for no more than
 * may wait anyway: nobody is taken for slow because we are. (Where the policy may still drop what waits, they are done at once.)
 */
export class Outbound implements ScheduledTask {
  // First what every frame needs, that it be close together.
  /** What waits until the transport has got rid of what it has. Never empty. */
  #backlog: Backlog | undefined;
  readonly #transport: Transport;
  /** What was queued in this tick, in a cohort when it joined that. */
  #pending: FrameChain | undefined;
  #cohort: BroadcastGroup | undefined;
  #queued = false;
  readonly #host: OutboundHost;
  /** Nothing follows what is queued: it needn't wait here. */
  #ending = false;
  /** For those who wait until nothing waits. */
  #drain: PromiseWithResolvers<void> | undefined;
  readonly #owner: OutboundOwner;
  /** Of this connection: the board's, until its actor chooses another. */
  policy: SlowConsumerPolicy;
  /** The newest ping that hasn't been answered because many earlier bytes wait: older ones need no answer (RFC 6455 section 5.5.3). */
  #owedPong: Buffer | undefined;
  #bounded = false;

  constructor(transport: Transport, host: OutboundHost, owner: OutboundOwner) {
    this.#transport = transport;
    this.#host = host;
    this.#owner = owner;
    this.policy = host.options.slowConsumerPolicy;
  }

  /** Bytes that the peer hasn't taken, as far as we know. */
  get bufferedBytes(): number {
    return this.#transport.bufferedBytes + (this.#queuedNow?.bytes ?? 0) + (this.#backlog?.bytes ?? 0);
  }

  /**
   * Queues a data frame. "refused": more waits than may, and by the policy the connection is to be closed.
   *
   * @param topic of a frame that was published
   * @param cohort of all that get it
   */
  push(frame: Frame, topic?: string, cohort?: BroadcastGroup): SendResult | "refused" {
    if (!this.#behind()) {
      this.#queue(frame, cohort);
      return "sent";
    }
    if (topic !== undefined && this.policy === "conflate") return this.#conflate(frame, topic);
    const bytes = frame.end - frame.start;
    if (!this.#fits(bytes)) {
      this.#reachBound();
      if (this.policy === "dropNewest") {
        this.#host.counters.add("droppedNewest");
        return "dropped";
      }
      if (this.policy !== "dropOldest") return "refused";
      this.#makeRoom(bytes);
    }
    this.pushControl(frame);
    return "buffered";
  }

  /** Queues a frame whatever waits: for the few that a connection itself sends. */
  pushControl(frame: Frame): void {
    this.#queue(frame);
  }

  #queue(frame: Frame, cohort?: BroadcastGroup): void {
    const pending = (this.#leaveCohort() ?? this.#host.flushQueue.root).append(frame);
    this.#pending = pending;
    if (!this.#queued) {
      this.#queued = true;
      this.#host.flushQueue.add(this);
    }
    if (pending.bytes >= EARLY_FLUSH_BYTES) {
      if (!this.#mustWait(pending)) this.flush();
    } else if (cohort?.join(pending)) {
      this.#cohort = cohort;
    }
  }

  /** What is queued, in a cohort or not. */
  get #queuedNow(): FrameChain | undefined {
    return this.#cohort === undefined ? this.#pending : this.#cohort.queued;
  }

  /** Gives what is queued, which is nobody else's from now on. */
  #leaveCohort(): FrameChain | undefined {
    if (this.#cohort !== undefined) {
      this.#pending = this.#cohort.leave();
      this.#cohort = undefined;
    }
    return this.#pending;
  }

  /** Queues a close frame: nothing may follow, nothing is dropped any more, and nobody waits any longer. */
  pushLast(frame: Frame): void {
    this.#end();
    this.pushControl(frame);
  }

  #end(): void {
    this.#ending = true;
    this.#owedPong = undefined;
    this.#giveUpWaiting();
  }

  /** Answers a ping, at once or, when many earlier bytes wait, as soon as they are gone. */
  pong(payload: Buffer): void {
    const waiting = this.#transport.bufferedBytes + (this.#backlog?.bytes ?? 0);
    if (waiting >= PONG_ROOM_BYTES || this.#owedPong !== undefined) this.#owedPong = payload;
    else this.pushControl(encodeFrame(Opcode.pong, payload));
  }

  /** Asks for a sign of life, unless bytes wait already: taking them is one. */
  ping(): void {
    if (!this.#behind()) this.pushControl(encodeFrame(Opcode.ping, NO_PAYLOAD));
  }

  /**
   * Resolves when nothing waits for the peer; also when waiting has become pointless. At once if nothing waits and this turn has time left:
   * who sends and waits in a loop, to a peer that takes all at once or that is gone unnoticed, would keep everybody from their turns.
   */
  whenDrained(): Promise<void> {
    if (this.#drain !== undefined) return this.#drain.promise;
    if (this.#pending === undefined && !this.#behind()) {
      if (!this.#host.turns.over) return Promise.resolve();
      this.#host.turns.add(this);
    }
    this.#drain = Promise.withResolvers();
    return this.#drain.promise;
  }

  /** The connection has ended: nothing is queued after what is, and nobody waits any longer. */
  giveUp(): void {
    this.#leaveCohort();
    this.#end();
  }

  #giveUpWaiting(): void {
    this.#drain?.resolve();
    this.#drain = undefined;
  }

  /** The transport has got rid of all that it had. */
  drained(): void {
    while (this.#backlog !== undefined && this.#transport.bufferedBytes === 0) {
      if (this.#host.turns.over) {
        this.#host.turns.add(this);
        return;
      }
      const slice = this.#backlog.take(SLICE_BYTES);
      this.#forgetEmptyBacklog();
      this.#transport.write(slice);
    }
    if (this.#behind()) return;
    this.#bounded = false;
    const payload = this.#owedPong;
    if (payload !== undefined) {
      this.#owedPong = undefined;
      this.pushControl(encodeFrame(Opcode.pong, payload));
    }
    if (this.#pending === undefined) this.#giveUpWaiting();
  }

  /** From the queue: the tick ends. */
  flushQueued(): void {
    const queued = this.#queuedNow;
    if (queued !== undefined && this.#mustWait(queued)) this.#host.turns.add(this);
    else this.#endTick();
  }

  /** For what had to wait for a turn. */
  takeTurn(): void {
    this.#endTick();
    if (this.#backlog !== undefined) this.drained();
  }

  #endTick(): void {
    this.#queued = false;
    this.flush();
    if (this.#drain !== undefined && !this.#behind()) this.#giveUpWaiting();
  }

  /** Writes what is queued now, not at the end of the tick, as far as the transport isn't behind. */
  flush(): void {
    if (this.#ending) this.#writeBacklog();
    const pending = this.#leaveCohort();
    if (pending === undefined) return;
    this.#pending = undefined;
    if (!this.#behind()) {
      this.#transport.write(pending.join());
      if (this.#transport.bufferedBytes > 0) this.#host.behind?.add(this);
    } else if (this.#ending) {
      this.#transport.write(pending.joinCompact());
    } else {
      this.#backlog ??= new Backlog();
      this.#backlog.add(pending.joinCompact());
    }
  }

  /** Whether the pending bytes are many, and this turn has no time for writing them. */
  #mustWait({ bytes }: FrameChain): boolean {
    if (bytes < EARLY_FLUSH_BYTES || this.#behind()) return false;
    // It would be written in one piece, of which no frame can be dropped any more.
    if (this.policy === "dropOldest" || this.policy === "conflate") return false;
    return bytes < Math.min(MAX_PENDING_BYTES, this.#host.options.maxBufferedBytes) && this.#host.turns.over;
  }

  /** Whether what is queued now has to wait. (A backlog may be there a moment longer than what the transport has.) */
  #behind(): boolean {
    return this.#backlog !== undefined || this.#transport.bufferedBytes > 0;
  }

  #fits(bytes: number): boolean {
    const costs = (this.#backlog?.length ?? 0) * PIECE_COST;
    return this.bufferedBytes + costs + bytes <= this.#host.options.maxBufferedBytes;
  }

  #reachBound(): void {
    if (this.#bounded) return;
    this.#bounded = true;
    this.#owner.boundReached(this.policy, this.bufferedBytes);
  }

  /** Lets the frame wait in the place of the one of its topic that waits. */
  #conflate(frame: Frame, topic: string): SendResult | "refused" {
    // What was queued in this tick comes before.
    this.flush();
    const replaced = this.#backlog?.waitingOf(topic);
    if (!this.#fits(frame.end - frame.start - (replaced ?? 0))) {
      this.#reachBound();
      return "refused";
    }
    if (replaced !== undefined) this.#host.counters.add("conflated");
    this.#backlog ??= new Backlog();
    this.#backlog.conflate(topic, this.#host.flushQueue.root.append(frame).joinCompact());
    return "buffered";
  }

  /** Drops the oldest frames until so many bytes fit, or none is left that can be dropped. */
  #makeRoom(bytes: number): void {
    while (!this.#fits(bytes)) {
      if (this.#backlog === undefined) {
        if (this.#pending === undefined) return;
        this.flush();
        continue;
      }
      this.#backlog.dropOldest();
      this.#host.counters.add("droppedOldest");
      this.#forgetEmptyBacklog();
    }
  }

  #writeBacklog(): void {
    const backlog = this.#backlog;
    this.#backlog = undefined;
    while (backlog !== undefined && backlog.length > 0) this.#transport.write(backlog.take(0));
  }

  #forgetEmptyBacklog(): void {
    if (this.#backlog?.length === 0) this.#backlog = undefined;
  }
}
