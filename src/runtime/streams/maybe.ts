/** A value, or a promise of it: an engine in memory answers at once. */
export type Maybe<T> = T | Promise<T>;
