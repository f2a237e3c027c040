/** A connection, as its end sees it. */
export interface ShutdownTarget {
  /** Tells the actor that its connection will be closed. */
  announceShutdown(): void;
  /** Begins the close handshake, once the actor is done with what it was told. */
  closeForShutdown(code: number, reason: string): void;
  /** Ends it without a handshake. */
  destroy(): void;
}
