/**
 * Invalid flag of `npm run bench`. The message says in one sentence what to write instead. `run.ts` prints the message.
 */
export class UsageError extends Error {}
