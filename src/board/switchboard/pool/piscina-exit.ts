/**
 * The exit code of a thread that ended without an error, for `shard-loss.ts`. piscina reports such an end by an error
 * that has neither a code nor a field for the exit code, so the message is the only source. The test of this file runs
 * a real thread and fails when a version of piscina words the message differently.
 */

const EXITED = /^worker exited with code: (-?\d+)$/;

/** Returns the exit code that the message of piscina names; undefined for any other error. */
export function exitCodeOf(error: Error): number | undefined {
  const [, code] = EXITED.exec(error.message) ?? [];
  return code === undefined ? undefined : Number(code);
}
