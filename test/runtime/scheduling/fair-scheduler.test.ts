import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  BACKGROUND_MS,
  FairScheduler,
  type ScheduledTask,
  TURN_MS,
} from "../../../src/runtime/scheduling/fair-scheduler.ts";

/** A scheduler with a clock that moves only by `take`. */
function setUp() {
  let now = 0;
  const scheduler = new FairScheduler(() => now);
  const log: string[] = [];
  const take = (ms: number): void => {
    now += ms;
  };
  /** A task that logs its turn, takes `ms`, and schedules `more` further turns. */
  const task = (name: string, ms = 0, more = 0): ScheduledTask => ({
    takeTurn: () => {
      log.push(name);
      take(ms);
      if (more-- > 0) scheduler.add(task(name, ms, more));
    },
  });
  return { scheduler, log, take, task };
}

it("calls each task once, in the next turn, in the order of adding", async () => {
  const { scheduler, log, task } = setUp();
  for (const name of ["a", "b", "c"]) scheduler.add(task(name));
  expect(log).toEqual([]);
  await turn();
  expect(log).toEqual(["a", "b", "c"]);
  await turn();
  expect(log).toHaveLength(3);
});

it("calls a task that is added during a turn in the next turn", async () => {
  const { scheduler, log, task } = setUp();
  scheduler.add(task("a", 0, 1));
  scheduler.add(task("b"));
  await turn();
  expect(log).toEqual(["a", "b"]);
  await turn();
  expect(log).toEqual(["a", "b", "a"]);
});

it("ends a turn when its time is over, and continues with the tasks that waited", async () => {
  const { scheduler, log, task } = setUp();
  scheduler.add(task("a", TURN_MS / 2, 2));
  scheduler.add(task("b", TURN_MS / 2, 2));
  scheduler.add(task("c", TURN_MS * 10, 1));
  scheduler.add(task("d"));
  const seen: string[] = [];
  for (let i = 0; i < 6; i++) {
    await turn();
    seen.push(log.splice(0).join(""));
  }
  // A task that had its turn comes behind tasks that had none. A task that takes too long delays the others only by its
  // own time.
  expect(seen).toEqual(["ab", "c", "dab", "c", "ab", ""]);
});

it("starts a turn's time at the first call of over, anew in each turn", async () => {
  const { scheduler, take } = setUp();
  take(1_000);
  expect(scheduler.over).toBe(false);
  take(TURN_MS - 1);
  expect(scheduler.over).toBe(false);
  take(1);
  expect([scheduler.over, scheduler.hasTime()]).toEqual([true, false]);
  await turn();
  expect(scheduler.over).toBe(false);
});

it("has no time for new work while tasks wait for their turns", async () => {
  const { scheduler, log, task } = setUp();
  scheduler.add(task("a"));
  expect(scheduler.over).toBe(true);
  await turn();
  expect(log).toEqual(["a"]);
  expect(scheduler.over).toBe(false);
});

it("tells a task in its turn when the time is over", async () => {
  const { scheduler, take } = setUp();
  const answers: boolean[] = [];
  scheduler.add({
    takeTurn: () => {
      answers.push(scheduler.over);
      take(TURN_MS);
      answers.push(scheduler.over);
    },
  });
  await turn();
  expect(answers).toEqual([false, true]);
});

it("numbers the turns in which something runs", async () => {
  const { scheduler, task } = setUp();
  const first = scheduler.enter();
  expect(scheduler.enter()).toBe(first);
  await turn();
  expect(scheduler.now).toBe(first + 1);
  await turn();
  expect(scheduler.now).toBe(first + 1);
  scheduler.add(task("a"));
  await turn();
  expect(scheduler.now).toBe(first + 2);
});

describe("the background", () => {
  it("gets the time that the other tasks leave of a turn", async () => {
    const { scheduler, log, task } = setUp();
    for (const name of ["x", "y", "z"]) scheduler.addBackground(task(name, TURN_MS / 4));
    scheduler.add(task("a", TURN_MS / 2));
    await turn();
    expect(log).toEqual(["a", "x", "y"]);
    await turn();
    expect(log).toEqual(["a", "x", "y", "z"]);
  });

  it("gets a little time of each turn, however much others have to do", async () => {
    const { scheduler, log, task } = setUp();
    scheduler.add(task("a", TURN_MS * 2, 2));
    for (const name of ["x", "y", "z"]) scheduler.addBackground(task(name, BACKGROUND_MS));
    for (let i = 0; i < 3; i++) await turn();
    expect(log).toEqual(["a", "x", "a", "y", "a", "z"]);
  });

  it("doesn't end the turn of other work", async () => {
    const { scheduler, task } = setUp();
    scheduler.addBackground(task("x"));
    expect(scheduler.over).toBe(false);
    await turn();
  });

  it("pays for what its tasks do in promises", async () => {
    const { scheduler, log, take } = setUp();
    for (const name of ["x", "y", "z"]) {
      const takeTurn = async (): Promise<void> => {
        await undefined;
        log.push(name);
        take(TURN_MS / 2);
      };
      scheduler.addBackground({ takeTurn: () => void takeTurn() });
    }
    await turn();
    expect(log).toEqual(["x", "y"]);
    await turn();
    expect(log).toEqual(["x", "y", "z"]);
  });

  it("does a few pieces of work at once in a turn, and the rest in its order", async () => {
    const { scheduler, log, task } = setUp();
    const names = Array.from({ length: 40 }, (_, index) => `${index}`);
    for (const name of names) scheduler.runInBackground(task(name).takeTurn);
    expect(log).toEqual(names.slice(0, 16));
    // A turn that is promised comes behind all of them.
    await scheduler.backgroundTurn();
    expect(log).toEqual(names);
    expect(scheduler.backgroundTurn()).toBeInstanceOf(Promise);
    await turn();
    await turn();
    expect(scheduler.backgroundTurn()).toBeUndefined();
  });
});
