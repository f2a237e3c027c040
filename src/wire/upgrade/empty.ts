/** The empty buffer and the function that does nothing. `upgrade` imports nothing of WebSocket, so it has its own. */

/** A buffer of 0 bytes. */
export const EMPTY: Buffer = Buffer.alloc(0);

/** Does nothing: for an event or a rejection that needs no answer. */
export function noop(): void {}
