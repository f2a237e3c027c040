/** Work of a fixed amount of CPU time, for handlers of servers under test. */

const CALIBRATION_STEPS = 100_000;
const CALIBRATION_TRIES = 30;

/** Keeps the result of the loop, so that V8 doesn't optimize the loop away. */
let sink = 1;

/**
 * Makes a function that keeps the core of this thread busy for this many µs. The number of steps is fixed beforehand,
 * by the fastest of many tries. A clock would count time in which another thread has the core as work.
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
