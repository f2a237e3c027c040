/** An invalid command line. The message says in one sentence what to write instead. Thrown by every command. */
export class UsageError extends Error {}
