const CALIBRATION_STEPS = 100_000;
const CALIBRATION_TRIES = 30;

/** Sinks the result, so that the loop isn't optimized away. */
let sink = 1;

/**
 * A function that keeps this thread's core busy for so long. The amount of work is fixed beforehand (by the best of
 * many tries) instead of read from a clock: time in which another thread has the core must not count as work done.
 */
export function workOf(micros: number): () => void {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < CALIBRATION_TRIES; i++) {
    const start = performance.now();
    spin(CALIBRATION_STEPS);
    best = Math.min(best, performance.now() - start);
  }
  const steps = Math.round((micros / 1000 / best) * CALIBRATION_STEPS);
  return () => spin(steps);
}

function spin(steps: number): void {
  let state = sink;
  for (let i = 0; i < steps; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
  }
  sink = state;
}
