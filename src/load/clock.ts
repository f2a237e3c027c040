/** `performance.now` starts at 0 in every thread; what is to be compared between threads needs one clock for all of them. */
const [seconds, nanoseconds] = process.hrtime();
const offset = seconds * 1e6 + nanoseconds / 1e3 - performance.now() * 1e3;

/** Time in µs, on the clock that all threads of the machine share. */
export function now(): number {
  return performance.now() * 1e3 + offset;
}
