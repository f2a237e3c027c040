/** The errors that end a command with one message on standard error. */

/**
 * An invalid command line: exit code 2. The message says in one sentence what to write instead. Every command throws
 * it.
 */
export class UsageError extends Error {}

/** A command that couldn't do its work: exit code 1. The message says why, and what to do. */
export class CommandError extends Error {}
