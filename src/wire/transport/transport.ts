/**
 * The narrow port that a connection reads and writes bytes through. Every implementation passes the contract in
 * `test/wire/transport/contract.ts`.
 *
 * MUST call no method of its receiver before `start`, and none after `closed`.
 * MUST deliver bytes in order and at most once, and none while paused but those of the read in progress.
 * MUST NOT keep a chunk after `received` returns: the receiver copies what it needs.
 */
export interface Transport {
  /** Begins reading. Called once (by one receiver after the other, where an implementation can be handed over). */
  start(receiver: TransportReceiver): void;
  /** Queues bytes, which belong to the transport until they are written. Ignored once it is closed. */
  write(bytes: Buffer): void;
  /** Bytes queued that the operating system hasn't taken yet. */
  readonly bufferedBytes: number;
  /** The other end's, where it is known. */
  readonly remoteAddress?: string | undefined;
  pause(): void;
  resume(): void;
  /** Ends our direction after what is queued. */
  end(): void;
  /** Drops what is queued and closes both directions at once. */
  destroy(): void;
}

export interface TransportReceiver {
  /** Bytes arrived. They are borrowed. */
  received(chunk: Buffer): void;
  /** `bufferedBytes` was above 0 after a write and is 0 again. */
  drained(): void;
  /** The peer ended its direction. */
  ended(): void;
  /** Both directions are closed, for whatever reason. Called once. */
  closed(): void;
}
