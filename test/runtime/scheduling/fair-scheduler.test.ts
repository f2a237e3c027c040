import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { FairScheduler, type ScheduledTask, TURN_MS } from "../../../src/runtime/scheduling/fair-scheduler.ts";

/** Turns by a clock that only moves when somebody says how long something took. */
function setUp() {
  let now = 0;
  const turns = new FairScheduler(() => now);
  const log: string[] = [];
  const take = (ms: number): void => {
    now += ms;
  };
  /** Notes its turn, which takes so long, and asks for so many more. */
  const taker = (name: string, ms = 0, more = 0): ScheduledTask => ({
    takeTurn: () => {
      log.push(name);
      take(ms);
      if (more-- > 0) turns.add(taker(name, ms, more));
    },
  });
  return { turns, log, take, taker };
}

it("calls each once, in the next turn, in the order they came", async () => {
  const { turns, log, taker } = setUp();
  for (const name of ["a", "b", "c"]) turns.add(taker(name));
  expect(log).toEqual([]);
  await turn();
  expect(log).toEqual(["a", "b", "c"]);
  await turn();
  expect(log).toHaveLength(3);
});

it("calls who asks during a turn in the next one", async () => {
  const { turns, log, taker } = setUp();
  turns.add(taker("a", 0, 1));
  turns.add(taker("b"));
  await turn();
  expect(log).toEqual(["a", "b"]);
  await turn();
  expect(log).toEqual(["a", "b", "a"]);
});

it("ends a turn when its time is over, and goes on with those who waited", async () => {
  const { turns, log, taker } = setUp();
  turns.add(taker("a", TURN_MS / 2, 2));
  turns.add(taker("b", TURN_MS / 2, 2));
  turns.add(taker("c", TURN_MS * 10, 1));
  turns.add(taker("d"));
  const seen: string[] = [];
  for (let i = 0; i < 6; i++) {
    await turn();
    seen.push(log.splice(0).join(""));
  }
  // Whoever had a turn comes behind those who had none; one that takes too long costs the others no more than its own time.
  expect(seen).toEqual(["ab", "c", "dab", "c", "ab", ""]);
});

it("has time from the first question on, anew in each turn", async () => {
  const { turns, take } = setUp();
  take(1_000);
  expect(turns.over).toBe(false);
  take(TURN_MS - 1);
  expect(turns.over).toBe(false);
  take(1);
  expect([turns.over, turns.hasTime()]).toEqual([true, false]);
  await turn();
  expect(turns.over).toBe(false);
});

it("has no time for newcomers while others wait for theirs", async () => {
  const { turns, log, taker } = setUp();
  turns.add(taker("a"));
  expect(turns.over).toBe(true);
  await turn();
  expect(log).toEqual(["a"]);
  expect(turns.over).toBe(false);
});

it("tells who takes a turn when the time is over", async () => {
  const { turns, take } = setUp();
  const answers: boolean[] = [];
  turns.add({
    takeTurn: () => {
      answers.push(turns.over);
      take(TURN_MS);
      answers.push(turns.over);
    },
  });
  await turn();
  expect(answers).toEqual([false, true]);
});

it("numbers the turns in which something is done", async () => {
  const { turns, taker } = setUp();
  const first = turns.enter();
  expect(turns.enter()).toBe(first);
  await turn();
  expect(turns.now).toBe(first + 1);
  await turn();
  expect(turns.now).toBe(first + 1);
  turns.add(taker("a"));
  await turn();
  expect(turns.now).toBe(first + 2);
});
