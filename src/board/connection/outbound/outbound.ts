/**
 * The sending half of one connection: bounds the bytes that wait, and applies the policy for slow consumers. Each
 * `Connection` has one `Outbound`.
 */
import type { Counters } from "../../../runtime/stats/counters.ts";
import { ownCopy } from "../../../wire/protocol/allocator.ts";
import { EMPTY } from "../../../wire/protocol/empty.ts";
import { encodeFrame, type Frame } from "../../../wire/protocol/frame.ts";
import type { LentMessage } from "../../../wire/protocol/message.ts";
import { Opcode } from "../../../wire/protocol/opcode.ts";
import type { SendResult } from "../../../wire/protocol/send-result.ts";
import type { SlowConsumerPolicy } from "../../../wire/protocol/slow-consumer-policy.ts";
import type { Transport } from "../../../wire/transport/transport.ts";
import { Backlog, type BacklogPiece } from "./backlog.ts";
import type { BroadcastGroup } from "./broadcast-group.ts";
import { OutboundQueue, type OutboundQueueHost } from "./outbound-queue.ts";

/**
 * Waiting bytes below which every ping is answered. Over TLS some bytes wait in each tick, however fast the peer reads.
 */
const PONG_ROOM_BYTES = 4 * 1024;
/** Memory of a waiting piece beyond its own bytes, in bytes. Counting this bounds many small pieces, too. */
const PIECE_COST = 128;

export interface OutboundHost extends OutboundQueueHost {
  /** Connections that may wait for their peer. The reader of the set removes connections that no longer wait. */
  readonly behind?: Set<Outbound>;
  readonly counters: Counters;
  readonly options: { readonly maxBufferedBytes: number; readonly slowConsumerPolicy: SlowConsumerPolicy };
}

/** The sending half of a connection that moves, as plain data. */
export interface OutboundState {
  readonly policy: SlowConsumerPolicy;
  /** Policies of topics that have their own. */
  readonly policies: readonly (readonly [topic: string, policy: SlowConsumerPolicy])[];
  /** Frames that wait behind the transport's bytes. */
  readonly backlog: readonly BacklogPiece[];
  /** Payload of a ping that is to be answered when the earlier bytes are gone. */
  readonly owedPong: Uint8Array | undefined;
  /** True if the bound was reported for this backlog. */
  readonly bounded: boolean;
}

export interface OutboundOwner {
  /**
   * The bytes that wait reached `maxBufferedBytes`. Called once per backlog: again only after the buffer has drained.
   */
  boundReached(policy: SlowConsumerPolicy, bufferedBytes: number): void;
}

/**
 * The frames that one connection has to write, with a bound on those that wait. The policy decides about a frame that
 * would make more than `maxBufferedBytes` wait. Bytes that the operating system has taken don't count. A single frame
 * always fits when nothing else waits.
 */
export class Outbound extends OutboundQueue<OutboundHost> {
  /** Promise of all callers of `whenDrained`. */
  #drainWait: PromiseWithResolvers<void> | undefined;
  readonly #owner: OutboundOwner;
  /** Policy of this connection: the board's, until the actor chooses another. */
  policy: SlowConsumerPolicy;
  /** Policies of topics that have their own. */
  #policies: Map<string, SlowConsumerPolicy> | undefined;
  /**
   * Payload of the newest ping that hasn't been answered because many earlier bytes wait. Older pings need no answer
   * (RFC 6455 section 5.5.3).
   */
  #owedPong: Buffer | undefined;
  /** True once the bound was reported for the present backlog. */
  #bounded = false;

  constructor(transport: Transport, host: OutboundHost, owner: OutboundOwner) {
    super(transport, host);
    this.#owner = owner;
    this.policy = host.options.slowConsumerPolicy;
  }

  /**
   * Queues a data frame. Returns "refused" when too much waits and the policy asks to close the connection.
   *
   * @param topic topic of a frame that a newer one of the topic may replace; undefined for a frame that was sent
   * @param group connections that get the same publish
   * @param isKept true if the history has the frame: a frame that waits is never dropped, only replaced by `conflate`,
   * and at the bound the result is "dropped", whatever the policy
   */
  push(frame: Frame, topic?: string, group?: BroadcastGroup, isKept = false): SendResult | "refused" {
    if (!this.isBehind) {
      const waits = this.queue(frame, group, isKept);
      // The result of a publish tells which peers are slow, not which shards are busy.
      return waits && topic === undefined && !isKept ? "buffered" : "sent";
    }
    const policy = (topic !== undefined ? this.#policies?.get(topic) : undefined) ?? this.policy;
    if (topic !== undefined && policy === "conflate") return this.#conflate(frame, topic, isKept);
    const bytes = frame.end - frame.start;
    if (!this.#fits(bytes)) {
      this.#reachBound(policy);
      if (isKept) return "dropped";
      if (policy === "dropNewest") {
        this.host.counters.add("droppedNewest");
        return "dropped";
      }
      if (policy !== "dropOldest") return "refused";
      if (!this.#makeRoom(bytes)) {
        this.host.counters.add("droppedNewest");
        return "dropped";
      }
    }
    this.queue(frame, undefined, isKept);
    return "buffered";
  }

  /** Sends a frame of lent memory. A frame that would have to wait is queued as a copy. */
  pushLent(message: LentMessage): SendResult | "refused" {
    return this.writeLent(message) ?? this.push(message.toOwned());
  }

  /** Sets the policy of one topic's frames; undefined: the policy of the connection. */
  setTopicPolicy(topic: string, policy: SlowConsumerPolicy | undefined): void {
    if (policy !== undefined) {
      this.#policies ??= new Map();
      this.#policies.set(topic, policy);
    } else if (this.#policies?.delete(topic) && this.#policies.size === 0) {
      this.#policies = undefined;
    }
  }

  /** Queues the close frame. Nothing follows, no frame is dropped any more, and `whenDrained` resolves. */
  pushLast(frame: Frame): void {
    this.end();
    this.pushControl(frame);
  }

  protected override end(): void {
    super.end();
    this.#owedPong = undefined;
    this.#giveUpWaiting();
  }

  /** Answers a ping: at once, or as soon as the earlier bytes are gone if many wait. */
  pong(payload: Buffer): void {
    const waiting = this.transport.bufferedBytes + (this.backlog?.bytes ?? 0);
    if (waiting >= PONG_ROOM_BYTES || this.#owedPong !== undefined) this.#owedPong = payload;
    else this.pushControl(encodeFrame(Opcode.pong, payload));
  }

  /** Sends a ping, unless bytes wait already: a peer that takes bytes proves that it is there. */
  ping(): void {
    if (!this.isBehind) this.pushControl(encodeFrame(Opcode.ping, EMPTY));
  }

  /**
   * Resolves when nothing waits for the peer, and when the connection ends. Resolves at once only if nothing waits and
   * this turn has time left: otherwise a loop of `send` and `await drained()` on a fast or dead peer would monopolise
   * the event loop.
   */
  whenDrained(): Promise<void> {
    if (this.#drainWait !== undefined) return this.#drainWait.promise;
    if (!this.hasPending && !this.isBehind) {
      if (!this.host.turns.over) return Promise.resolve();
      this.host.turns.add(this);
    }
    this.#drainWait = Promise.withResolvers();
    return this.#drainWait.promise;
  }

  /**
   * Takes the state out, for `load`. Call `flush` first: what this tick queued must be in the transport or the backlog.
   */
  save(): OutboundState {
    const state = {
      policy: this.policy,
      policies: [...(this.#policies ?? [])],
      backlog: this.backlog?.save() ?? [],
      owedPong: this.#owedPong,
      bounded: this.#bounded,
    };
    this.backlog = undefined;
    this.giveUp();
    return state;
  }

  /** Queues what another connection had queued, behind the bytes that the transport has already. */
  load({ policy, policies, backlog, owedPong, bounded }: OutboundState): void {
    this.policy = policy;
    if (policies.length > 0) this.#policies = new Map(policies);
    if (backlog.length > 0) {
      this.backlog = new Backlog();
      this.backlog.load(backlog);
    }
    this.#owedPong = owedPong === undefined ? undefined : ownCopy(owedPong);
    this.#bounded = bounded;
    if (!this.isBehind && owedPong === undefined) return;
    this.host.behind?.add(this);
    // The system may have taken all of the transport's bytes at once: then no `drained` follows.
    if (this.transport.bufferedBytes === 0) this.host.turns.add(this);
  }

  /** Ends the queue when the connection has ended: no frame follows, and `whenDrained` resolves. */
  giveUp(): void {
    this.leaveGroup();
    this.end();
  }

  /** The transport has closed: no byte waits for the peer any more, also if some have never left. */
  closed(): void {
    this.host.behind?.delete(this);
  }

  #giveUpWaiting(): void {
    this.#drainWait?.resolve();
    this.#drainWait = undefined;
  }

  /** Writes the backlog in slices. Called when the transport's buffer is empty again. */
  drained(): void {
    if (!this.writeSlices()) return;
    if (this.isBehind) return;
    this.#bounded = false;
    const payload = this.#owedPong;
    if (payload !== undefined) {
      this.#owedPong = undefined;
      this.pushControl(encodeFrame(Opcode.pong, payload));
    }
    if (!this.hasPending) this.#giveUpWaiting();
  }

  protected get mayDrop(): boolean {
    return this.#policies !== undefined || this.policy === "dropOldest" || this.policy === "conflate";
  }

  protected fellBehind(): void {
    this.host.behind?.add(this);
  }

  protected tickEnded(): void {
    if (this.#drainWait !== undefined && !this.isBehind) this.#giveUpWaiting();
  }

  override takeTurn(): void {
    super.takeTurn();
    if (this.backlog !== undefined || this.#owedPong !== undefined) this.drained();
  }

  #fits(bytes: number): boolean {
    const costs = (this.backlog?.length ?? 0) * PIECE_COST;
    return this.bufferedBytes + costs + bytes <= this.host.options.maxBufferedBytes;
  }

  #reachBound(policy: SlowConsumerPolicy): void {
    if (this.#bounded) return;
    this.#bounded = true;
    this.#owner.boundReached(policy, this.bufferedBytes);
  }

  /** Replaces the waiting frame of the topic by this frame. */
  #conflate(frame: Frame, topic: string, isKept: boolean): SendResult | "refused" {
    // Frames that were queued earlier in this tick come before this frame.
    this.flush();
    const replaced = this.backlog?.waitingOf(topic);
    // The transport's bytes can't be replaced, and may be as many as the bound: one frame more is let through.
    const isOnly = (this.backlog?.length ?? 0) === (replaced === undefined ? 0 : 1);
    if (!isOnly && !this.#fits(frame.end - frame.start - (replaced ?? 0))) {
      this.#reachBound("conflate");
      return isKept ? "dropped" : "refused";
    }
    if (replaced !== undefined) this.host.counters.add("conflated");
    this.backlog ??= new Backlog();
    this.backlog.conflate(topic, this.host.flushQueue.root.append(frame).joinCompact(), isKept);
    return "buffered";
  }

  /** Drops the oldest frames until `bytes` more fit. Returns false if frames wait that are kept, and no others. */
  #makeRoom(bytes: number): boolean {
    while (!this.#fits(bytes)) {
      if (this.backlog?.dropOldest() === true) {
        this.host.counters.add("droppedOldest");
        this.forgetEmptyBacklog();
      } else if (!this.hasPending) {
        // Frames in the transport can't be dropped; one more frame is let through.
        return this.backlog === undefined;
      } else {
        this.flush();
      }
    }
    return true;
  }
}
