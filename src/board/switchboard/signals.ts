/** Signals of the process that close a board. */
/**
 * Calls back at the first of these signals. The next one ends the process at once with code 128 + its number, as shells
 * know it.
 *
 * @returns a function that removes the handlers
 */
export function handleSignals(signals: readonly NodeJS.Signals[], first: () => void): () => void {
  let came = false;
  const handle = (_signal: NodeJS.Signals, number: number): void => {
    if (came) process.exit(128 + number);
    came = true;
    first();
  };
  for (const signal of signals) process.on(signal, handle);
  return () => {
    for (const signal of signals) process.off(signal, handle);
  };
}
