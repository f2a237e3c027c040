/** The shared empty buffer and the shared function that does nothing, used by `wire` and `load` instead of copies. */

/** A buffer of 0 bytes. */
export const EMPTY: Buffer = Buffer.alloc(0);

/** Does nothing: for a callback or a rejection that needs no answer. */
export function noop(): void {}
