/** A connection, as its end sees it. */
export interface Drainable {
  /** Tells the actor that its connection will be closed. */
  drain(): void;
  /** Begins the close handshake, once the actor is done with what it was told. */
  closeDrained(code: number, reason: string): void;
  /** Ends it without a handshake. */
  destroy(): void;
}
