/** The port between a connection and its socket. */
import type { Socket } from "node:net";
import type { Loan } from "../node-internals/loan.ts";
import type { TcpHandle } from "../node-internals/net.ts";
import type { LentMemory } from "../protocol/message.ts";

/**
 * Carries the bytes of one connection. Every implementation passes the contract in `test/wire/transport/contract.ts`.
 *
 * - MUST call no method of its receiver before `start`, and none after `closed`.
 * - MUST deliver bytes in order and at most once, and none while paused, except those of the read in progress.
 * - MUST NOT keep a chunk after `received` returns: the receiver copies what it needs, or holds the memory that it is
 *   lent.
 */
export interface Transport {
  /** Starts to read. Called once, or once by each receiver if the implementation can be passed on. */
  start(receiver: TransportReceiver): void;
  /**
   * Queues bytes, which belong to the transport until they are written. Ignored after the close.
   *
   * @param memory memory that this transport has lent, if the bytes lie there: they are the caller's again after the
   * call, and the transport holds or copies what it still needs
   */
  write(bytes: Buffer, memory?: LentMemory): void;
  /** Bytes queued that the operating system hasn't taken yet. */
  readonly bufferedBytes: number;
  /**
   * Offers the bytes of this turn to the operating system now, so that `bufferedBytes` tells what is left. Absent where
   * `write` does so itself.
   */
  offer?(): void;
  /** Address of the other end, if it is known. */
  readonly remoteAddress?: string | undefined;
  pause(): void;
  resume(): void;
  /** Ends our direction after the queued bytes. */
  end(): void;
  /** Drops the queued bytes and closes both directions at once. */
  destroy(): void;
}

/**
 * A socket without a transport: a handle of Node, or a descriptor past Node, whose number is valid in every thread.
 * Nobody reads it. Its owner adopts, posts or releases it (`TcpSockets`).
 */
export type BareSocket = { readonly handle: TcpHandle } | { readonly descriptor: number };

/** Bytes that a transport had when it was taken apart. */
interface DetachedBytes {
  /** Bytes that were read and not delivered. */
  readonly unread: Buffer;
  /** Bytes that were written and that nobody has taken, in order: the next owner writes them first. */
  readonly unsent: readonly Buffer[];
}

/** A socket that was taken from its transport, for a transport in another thread or process. */
export interface DetachedSocket extends DetachedBytes {
  readonly socket: BareSocket;
}

/** The shard's end of a relayed stream that was taken from its transport, for another thread. */
export interface DetachedStream extends DetachedBytes {
  readonly stream: RelayedStream;
}

/** The shard's end of a relayed stream on its way to another thread, as plain data. */
export interface RelayedStream {
  /** Number of the stream in the thread that it left. */
  readonly id: number;
  readonly remoteAddress: string | undefined;
  /** Cost that this end may still send. */
  readonly credit: number;
  /** Cost that was taken and not reported. */
  readonly taken: number;
  /** True if the peer's end has arrived and wasn't told to the receiver; true also if the close after it has. */
  readonly peerEnded: boolean;
  readonly peerClosed: boolean;
}

/** The content of a transport that moves, for its next owner. */
export type Detached = DetachedSocket | DetachedStream;

/** A transport that can move to another thread. */
export interface MovableTransport<D extends Detached = DetachedSocket> extends Transport {
  /**
   * Takes what moves out of the transport, which calls its receiver no more and is of no use afterwards. Returns
   * undefined, and changes nothing, if the transport is closed, its end has begun, or `hold` hasn't resolved.
   */
  detach(): D | undefined;
  /**
   * Lends the descriptor of the socket, and goes on. Undefined if the socket is closed. Absent where Node has no
   * handle.
   */
  lend?(): Loan | undefined;
  /** Asks the far end to keep what it has. Resolves when `detach` may be called, or the transport has closed. */
  hold?(): Promise<void>;
  /** The transport stays after all: what was kept comes. */
  release?(): void;
}

/** True if a transport can move to another thread: over a TCP socket without TLS, and over a relay. */
export function isMovableTransport(transport: Transport): transport is MovableTransport<Detached> {
  return "detach" in transport;
}

/**
 * True if the main thread relays the bytes of a transport: such a transport can move only to another thread of this
 * process.
 */
export function isRelayedTransport(transport: Transport): boolean {
  return "hold" in transport;
}

/** The transport of a connection from its accept on, when the opening handshake hasn't been read. */
export interface HandshakeTransport extends Transport {
  /**
   * The current receiver has read everything that concerns it: another receiver will start the transport in this turn.
   *
   * @param rest bytes that were read and belong to the next receiver
   */
  handOver(rest: Buffer): void;
  /**
   * Returns the socket as a paused stream: before the start, or within the first `received`. The transport is unusable
   * afterwards.
   *
   * @param rest bytes that were read, to be read again
   */
  toStream(rest: Buffer): Socket;
}

export interface TransportReceiver {
  /**
   * Bytes arrived. The chunk is borrowed.
   *
   * @param memory memory that begins with the chunk, for a receiver that holds it for longer
   */
  received(chunk: Buffer, memory?: LentMemory): void;
  /** `bufferedBytes` was above 0 after a write and is 0 again. */
  drained(): void;
  /** The peer ended its direction. */
  ended(): void;
  /** Both directions are closed, for any reason. Called once. */
  closed(): void;
}
