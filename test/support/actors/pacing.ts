import Counting from "./counting.ts";

/** Actors of this thread that are being suspended, and the most that ever were at a time. */
let suspending = 0;
let most = 0;

/** A `Counting` actor that takes a turn of the event loop to suspend. */
export default class Pacing extends Counting {
  override suspended(): never {
    const state = super.suspended();
    most = Math.max(most, ++suspending);
    return new Promise((resolve) => {
      setImmediate(() => {
        suspending--;
        resolve(state);
      });
    }) as never;
  }
}

/** Tells the most. */
export function surveyed(): number {
  return most;
}
