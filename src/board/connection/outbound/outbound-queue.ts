/**
 * The frames that one connection has to write: those of this tick, and those that wait because the peer doesn't read.
 * `Outbound` extends the queue by the bound and its policies.
 */
import type { FairScheduler, ScheduledTask } from "../../../runtime/scheduling/fair-scheduler.ts";
import type { Frame } from "../../../wire/protocol/frame.ts";
import type { LentMessage } from "../../../wire/protocol/message.ts";
import type { Transport } from "../../../wire/transport/transport.ts";
import { Backlog } from "./backlog.ts";
import { type BroadcastGroup, EARLY_FLUSH_BYTES } from "./broadcast-group.ts";
import type { Flushable, FlushQueue } from "./flush-queue.ts";
import type { FrameChain } from "./frame-chain.ts";

/**
 * Largest pending write, in bytes, that waits for a turn with time for it. A fan-out of such writes to hundreds of
 * connections takes tens of milliseconds.
 */
const MAX_PENDING_BYTES = 1024 * 1024;
/** Bytes of the backlog that a transport gets in one write at most. Written bytes can't be dropped any more. */
const SLICE_BYTES = 64 * 1024;

/** The parts of a shard that the queues of its connections share. */
export interface OutboundQueueHost {
  readonly flushQueue: FlushQueue;
  readonly turns: FairScheduler;
  readonly options: { readonly maxBufferedBytes: number };
}

/**
 * Frames leave at the end of the tick. While the peer doesn't read, and the transport is therefore behind, frames wait
 * in a backlog, from which they can still be dropped.
 *
 * A large write is done at once while the shard's turn has time. Otherwise it waits in line with the shard's other
 * work, with `maxBufferedBytes` pending at most: a connection is never treated as slow because the shard itself was
 * busy. With a policy that may drop waiting frames, large writes are done at once in any turn.
 */
export abstract class OutboundQueue<Host extends OutboundQueueHost> implements ScheduledTask, Flushable {
  // Fields used for every frame come first, so that they share a cache line.
  /** Frames that wait until the transport's buffer is empty; undefined rather than empty. */
  protected backlog: Backlog | undefined;
  protected readonly transport: Transport;
  /** Frames queued in this tick; undefined while the group has them. */
  #pending: FrameChain | undefined;
  /** The group that has the frames of this tick. */
  #group: BroadcastGroup | undefined;
  /** True while the `FlushQueue` or the `FairScheduler` will call this connection for its pending frames. */
  #queued = false;
  /** True if a frame of this tick is kept. */
  #holdsKept = false;
  protected readonly host: Host;
  /** True once nothing follows the queued frames. They no longer wait in the backlog then. */
  #ending = false;

  constructor(transport: Transport, host: Host) {
    this.transport = transport;
    this.host = host;
  }

  /** True if a waiting frame may be dropped or replaced by the policy of the connection or of a topic. */
  protected abstract readonly mayDrop: boolean;

  /** The transport took bytes of a flush, and some of them wait for the peer. */
  protected abstract fellBehind(): void;

  /** The tick's frames have been written, or moved to the backlog. */
  protected abstract tickEnded(): void;

  /** Number of bytes that the operating system hasn't taken yet. */
  get bufferedBytes(): number {
    return this.transport.bufferedBytes + (this.#queuedNow()?.bytes ?? 0) + (this.backlog?.bytes ?? 0);
  }

  /** True if a frame queued now has to wait. The backlog may last a moment longer than the transport's own bytes. */
  protected get isBehind(): boolean {
    return this.backlog !== undefined || this.transport.bufferedBytes > 0;
  }

  /** True if frames of this tick are queued. */
  protected get hasPending(): boolean {
    return this.#queuedNow() !== undefined;
  }

  /** Queues a frame regardless of the bound, for the connection's own few frames. */
  pushControl(frame: Frame): void {
    this.queue(frame);
  }

  /**
   * Queues a frame of this tick. Returns true if many bytes of this tick wait: for the peer, or for a turn with time.
   *
   * @param group connections that get the same publish
   * @param isKept true if the frame is never dropped
   */
  protected queue(frame: Frame, group?: BroadcastGroup, isKept = false): boolean {
    if (isKept) this.#holdsKept = true;
    const before = this.leaveGroup();
    const pending = (before ?? this.host.flushQueue.root).append(frame);
    const isLong = pending.bytes >= EARLY_FLUSH_BYTES;
    // To store a new object costs V8 a write barrier: so a chain that a group has, or that grew in place, isn't stored.
    if (!isLong && group?.join(pending)) {
      this.#group = group;
      this.#pending = undefined;
    } else if (pending !== before) {
      this.#pending = pending;
    }
    if (!this.#queued) {
      this.#queued = true;
      this.host.flushQueue.add(this);
    }
    if (!isLong) return false;
    if (!this.#mustWait(pending)) this.flush();
    return this.hasPending || this.isBehind;
  }

  /**
   * Writes a frame of lent memory now, behind those of this tick. Does nothing, and returns undefined, if the frame
   * would have to wait.
   */
  protected writeLent({ block, start, end, memory }: LentMessage): "sent" | "buffered" | undefined {
    if (this.isBehind || this.#ending) return undefined;
    if (end - start >= EARLY_FLUSH_BYTES && !this.mayDrop && this.host.turns.over) return undefined;
    this.flush();
    if (this.isBehind) return undefined;
    this.transport.write(block.subarray(start, end), memory);
    if (this.transport.bufferedBytes === 0) return "sent";
    this.fellBehind();
    return "buffered";
  }

  /** Frames queued in this tick, alone or in a group; undefined if there are none. */
  #queuedNow(): FrameChain | undefined {
    return this.#group === undefined ? this.#pending : this.#group.queued;
  }

  /** Leaves the group, if any, and returns the queued frames. */
  protected leaveGroup(): FrameChain | undefined {
    if (this.#group !== undefined) {
      this.#pending = this.#group.leave();
      this.#group = undefined;
    }
    return this.#pending;
  }

  /** Returns the queued frames, and forgets them. */
  #takeQueued(): FrameChain | undefined {
    const queued = this.#group === undefined ? this.#pending : this.#group.leave();
    this.#group = undefined;
    this.#pending = undefined;
    return queued;
  }

  /** Nothing follows the queued frames: they no longer wait in the backlog. */
  protected end(): void {
    this.#ending = true;
  }

  /** Called by the `FlushQueue` at the end of the tick. */
  flushQueued(): void {
    const queued = this.#queuedNow();
    if (queued !== undefined && this.#mustWait(queued)) this.host.turns.add(this);
    else this.#endTick();
  }

  /** Writes what had to wait for a turn. Called by the `FairScheduler`. */
  takeTurn(): void {
    this.#endTick();
  }

  #endTick(): void {
    this.#queued = false;
    this.flush();
    this.tickEnded();
  }

  /** Writes the queued frames now, not at the end of the tick. Moves them to the backlog if the transport is behind. */
  flush(): void {
    if (this.#ending) this.#writeBacklog();
    const pending = this.#takeQueued();
    if (pending === undefined) return;
    const isKept = this.#holdsKept;
    this.#holdsKept = false;
    if (!this.isBehind) {
      const { bytes } = pending;
      this.transport.write(pending.join());
      if (bytes >= EARLY_FLUSH_BYTES) this.#offer();
      if (this.transport.bufferedBytes > 0) this.fellBehind();
    } else if (this.#ending) {
      this.transport.write(pending.joinCompact());
    } else {
      this.backlog ??= new Backlog();
      this.backlog.add(pending.joinCompact(), isKept);
    }
  }

  /** True if the pending bytes are many, and this turn has no time left for writing them. */
  #mustWait({ bytes }: FrameChain): boolean {
    if (bytes < EARLY_FLUSH_BYTES || this.isBehind) return false;
    // The write would be one piece, of which no frame can be dropped any more.
    if (this.mayDrop) return false;
    return bytes < Math.min(MAX_PENDING_BYTES, this.host.options.maxBufferedBytes) && this.host.turns.over;
  }

  /**
   * Writes the backlog in slices, while the transport's buffer is empty. Returns false if the rest waits for a turn
   * with time for it.
   */
  protected writeSlices(): boolean {
    while (this.backlog !== undefined && this.transport.bufferedBytes === 0) {
      if (this.host.turns.over) {
        this.host.turns.add(this);
        return false;
      }
      const slice = this.backlog.take(SLICE_BYTES);
      this.forgetEmptyBacklog();
      this.transport.write(slice);
      this.#offer();
    }
    return true;
  }

  /** Written bytes can't be dropped any more: a policy that may drop frames must know early that the peer is behind. */
  #offer(): void {
    if (this.mayDrop) this.transport.offer?.();
  }

  #writeBacklog(): void {
    const { backlog } = this;
    this.backlog = undefined;
    while (backlog !== undefined && backlog.length > 0) this.transport.write(backlog.take(0));
  }

  protected forgetEmptyBacklog(): void {
    if (this.backlog?.length === 0) this.backlog = undefined;
  }
}
