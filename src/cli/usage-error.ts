/** A command line that makes no sense; the message says in one sentence what to write instead. */
export class UsageError extends Error {}
