/** The relay for streams that can't be moved to a shard: the main thread's end and the shard's end. */
import type { Duplex } from "node:stream";
import type { ErrorReport } from "../../../errors.ts";
import { DuplexTransport, remoteAddressOf } from "../duplex-transport.ts";
import { Arrivals, type Pace } from "../handoff.ts";
import type { RelayHandoff } from "../messages.ts";
import { HANDOFF_TIMEOUT_MS, type HandoffEnd, type HandoffResult, lost, PendingHandoffs } from "../pending-handoffs.ts";
import type { RelayedStream, Transport, TransportReceiver } from "../transport.ts";
import { RelayMoves } from "./relay-moves.ts";
import { RelayPort } from "./relay-port.ts";
import type { RelayTransport } from "./relay-transport.ts";

/** A stream that waits for the shard's answer. */
interface WaitingStream {
  readonly stream: Duplex;
  /** Transport over the stream: paused, not started. */
  readonly transport: Transport;
}

/**
 * The main thread's end of one shard's relay. It keeps the streams and relays their bytes. From the call of `send` on
 * the stream belongs to the relay: it is closed when the peer, the shard's connection or the shard is gone, or when the
 * shard refuses it. A stream for which the shard gives no answer before the deadline comes back to the caller: nothing
 * was read from it or written to it.
 */
export class RelaySender<Envelope> {
  readonly #relay: RelayPort<Envelope>;
  readonly #pending: PendingHandoffs;
  /** Streams that wait for the shard's answer, by serial. */
  readonly #waiting = new Map<number, WaitingStream>();

  /**
   * @param timeoutMs milliseconds that the shard has to answer for a stream
   * @param life number of the shard's thread, unique in the board
   * @param moves streams between the shards of the board
   */
  constructor(
    { port, decisions }: HandoffEnd,
    timeoutMs = HANDOFF_TIMEOUT_MS,
    life = 0,
    moves: RelayMoves = new RelayMoves(),
  ) {
    this.#pending = new PendingHandoffs(decisions, timeoutMs);
    // Posts after all sockets of this turn were read.
    this.#relay = new RelayPort(port, setImmediate, {
      handle: (message) => {
        if (message.kind === "answer") this.#answered(message.serial, message.error);
        else if (message.kind === "take") {
          const { id, from, before } = message;
          this.#relay.expect(id);
          moves.take(from, before, (stream) => this.#relay.attach(id, stream));
        }
      },
      left: (id, stream) => moves.left(life, id, stream),
      lost: () => {
        for (const { stream } of this.#waiting.values()) stream.destroy();
        this.#waiting.clear();
        this.#pending.lose();
      },
    });
  }

  /** Number of streams that the shard hasn't answered for. */
  get inFlight(): number {
    return this.#pending.count;
  }

  /** True if the shard should get nothing now: it doesn't answer, or has too much to answer for. */
  get isFull(): boolean {
    return this.#pending.isFull;
  }

  /**
   * Opens a stream in the shard.
   *
   * @param head bytes of the stream that were read before, such as the `head` of an `upgrade` event
   */
  send(stream: Duplex, head: Buffer, envelope: Envelope): Promise<HandoffResult> {
    if (stream.destroyed || !stream.writable) {
      stream.destroy();
      return Promise.resolve({ outcome: "peerGone" });
    }
    const serial = this.#pending.nextSerial;
    try {
      if (this.#relay.closed) throw lost();
      this.#relay.tell({ kind: "open", serial, envelope, remoteAddress: remoteAddressOf(stream) });
    } catch (thrown) {
      stream.destroy();
      return Promise.resolve({ outcome: "failed", error: thrown as Error });
    }
    this.#waiting.set(serial, { stream, transport: new DuplexTransport(stream, head) });
    return this.#pending.add((error) => {
      this.#waiting.delete(serial);
      return { outcome: "stayed", socket: stream, error };
    });
  }

  /** Call it when the shard has ended. */
  close(): void {
    this.#relay.close();
  }

  /** The answer comes before the first bytes from the shard. */
  #answered(serial: number, error: ErrorReport | undefined): void {
    const waiting = this.#waiting.get(serial);
    this.#waiting.delete(serial);
    if (error === undefined && waiting !== undefined) {
      splice(waiting.transport, this.#relay.open(serial));
    } else {
      waiting?.stream.destroy();
    }
    this.#pending.settle(serial, error);
  }
}

/** The shard's end, for streams that move between shards. */
export interface RelayReceiver {
  /** Posts at once what streams have written: call it before a stream that left is told to its next thread. */
  flush(): void;
  /**
   * Goes on with a stream that was taken apart.
   *
   * @param from life of the thread where that was: another one, or this one if the stream couldn't leave
   */
  take(stream: RelayedStream, from: number, unread: Buffer): RelayTransport;
}

/**
 * The shard's end. `adopt` takes over the transport, or throws: then the stream is closed.
 *
 * @param pace default: each stream is adopted as it arrives
 */
export function receiveRelayed<Envelope>(
  end: HandoffEnd,
  adopt: (transport: Transport, envelope: Envelope) => void,
  pace?: Pace,
): RelayReceiver {
  const relay: RelayPort<Envelope> = new RelayPort<Envelope>(end.port, queueMicrotask, {
    handle: (message: RelayHandoff<Envelope>) => {
      if (message.kind !== "open") return;
      const { serial, envelope, remoteAddress } = message;
      const transport = relay.open(serial, remoteAddress);
      arrivals.adopt(serial, transport, () => adopt(transport, envelope));
    },
  });
  const arrivals = new Arrivals(end, (answer) => relay.tell(answer), pace);
  // The main thread numbers streams that it opens from 0.
  let lastTaken = 0;
  return {
    flush: relay.flush,
    take: (stream, from, unread) => {
      const id = --lastTaken;
      relay.tell({ kind: "take", id, from, before: stream.id });
      const transport = relay.open(id, stream.remoteAddress);
      transport.load(stream, unread);
      return transport;
    },
  };
}

/**
 * Joins two transports whose chunks may be kept: each is read only as fast as the other writes, and ends and closes
 * with it.
 */
function splice(one: Transport, other: Transport): void {
  one.start(new Splice(one, other));
  other.start(new Splice(other, one));
}

class Splice implements TransportReceiver {
  readonly #from: Transport;
  readonly #to: Transport;

  constructor(from: Transport, to: Transport) {
    this.#from = from;
    this.#to = to;
  }

  received(chunk: Buffer): void {
    this.#to.write(chunk);
    if (this.#to.bufferedBytes > 0) this.#from.pause();
  }

  drained(): void {
    this.#to.resume();
  }

  ended(): void {
    this.#to.end();
  }

  closed(): void {
    this.#to.destroy();
  }
}
