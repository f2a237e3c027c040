/**
 * The part of a connection that the shutdown of a shard needs. The shard's `Shutdown` calls it.
 */
/** A connection as the shutdown of its shard sees it. */
export interface ShutdownTarget {
  /** Tells the actor that its connection will be closed. */
  announceShutdown(): void;
  /** Begins the close handshake once the actor's `shuttingDown` handler has finished. */
  closeForShutdown(code: number, reason: string): void;
  /** Ends the connection without a close handshake. */
  destroy(): void;
}
