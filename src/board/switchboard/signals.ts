/**
 * Calls back at the first of these signals. The next one, of whichever kind, ends the process at once with the code that shells know a
 * signal by, 128 + its number.
 *
 * @returns what makes these signals again what they were
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
