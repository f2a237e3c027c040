/** The clock of the load. `performance.now` starts at 0 in every thread; times of different threads need one clock. */
const [seconds, nanoseconds] = process.hrtime();
const offset = seconds * 1e6 + nanoseconds / 1e3 - performance.now() * 1e3;

/** Returns the time in µs on a clock that all threads of the machine share. */
export function now(): number {
  return performance.now() * 1e3 + offset;
}
