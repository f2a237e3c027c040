/** More at once wouldn't be faster, and would overflow the queues of servers. */
const OPENING_AT_ONCE = 64;

/** Opens `count` connections, some at a time. `open` calls `done` when it has succeeded or failed. */
export function openAll(count: number, open: (index: number, done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    let begun = 0;
    let finished = 0;
    const done = (): void => {
      finished++;
      if (finished === count) resolve();
      else if (begun < count) open(begun++, done);
    };
    if (count === 0) resolve();
    while (begun < Math.min(count, OPENING_AT_ONCE)) open(begun++, done);
  });
}
