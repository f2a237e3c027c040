/** What the main programs of two processes give and take in a takeover, without the processes. */
import { expect, it, vi } from "vitest";
import {
  GIVE_LIMIT_MS,
  MAX_PROGRAM_BYTES,
  TAKE_LIMIT_MS,
} from "../../../../../src/board/switchboard/takeover/limits.ts";
import type { BoardLuggage } from "../../../../../src/board/switchboard/takeover/luggage.ts";
import { ProgramSink } from "../../../../../src/board/switchboard/takeover/program/program-sink.ts";
import { ProgramSource } from "../../../../../src/board/switchboard/takeover/program/program-source.ts";

const hangs = () => new Promise<never>(() => {});

function other(takesProgramState = true) {
  return { state: undefined, takesProgramState, hasEnded: false, ask: hangs };
}

/** Returns all luggage. */
async function all(luggage: AsyncIterable<BoardLuggage>): Promise<BoardLuggage[]> {
  const found: BoardLuggage[] = [];
  for await (const one of luggage) found.push(one);
  return found;
}

/** Gives what `give` returns. Returns the luggage, and the errors of what stayed behind. */
async function given(give: (() => unknown) | undefined, takesProgramState?: boolean) {
  const left: Error[] = [];
  const source = new ProgramSource({ give, left: (error) => left.push(error) });
  source.begin(other(takesProgramState));
  return { luggage: await all(source.rest()), left, source };
}

/** Lets a program take luggage. */
async function take(luggage: readonly BoardLuggage[], taker: (value: unknown) => unknown): Promise<void> {
  const sink = new ProgramSink(taker);
  for (const one of luggage) {
    if (one.kind === "program") await sink.add(one.piece);
    else await sink.complete();
  }
}

it("brings a value to the other program, in pieces of 1 MiB", async () => {
  const value = { list: new Map([["a", 1n]]), bytes: new Uint8Array(3 * 1024 * 1024).fill(7) };
  const { luggage, left } = await given(async () => value);
  expect(left).toEqual([]);
  expect(luggage.map(({ kind }) => kind)).toEqual([...Array(4).fill("program"), "programComplete"]);
  const taken = vi.fn();
  await take(luggage, taken);
  expect(taken.mock.calls).toEqual([[value]]);
});

it.each([
  ["gives undefined", () => undefined, true],
  ["gives nothing at all", undefined, true],
  ["must not be asked, because the other process takes nothing", vi.fn(() => 1), false],
])("sends nothing for a program that %s", async (_, give, takes) => {
  expect(await given(give, takes)).toMatchObject({ luggage: [], left: [] });
  if (!takes) expect(give).not.toHaveBeenCalled();
});

it("takes as many bytes as a program may give, and no more", async () => {
  const bytesOf = (length: number) => () => new Uint8Array(length);
  // Two bytes of the format, and a few around the array.
  const most = MAX_PROGRAM_BYTES - 8;
  const { luggage, left } = await given(bytesOf(most));
  expect(left).toEqual([]);
  const taken = vi.fn();
  await take(luggage, taken);
  expect(taken.mock.calls[0]?.[0]).toHaveLength(most);
  expect(await given(bytesOf(MAX_PROGRAM_BYTES))).toMatchObject({
    luggage: [],
    left: [{ code: "ERR_STATE_TOO_LARGE", message: expect.stringContaining(`may return ${MAX_PROGRAM_BYTES} bytes`) }],
  });
});

it("refuses more bytes than a process gives", async () => {
  const sink = new ProgramSink(() => {});
  await sink.add(new Uint8Array(MAX_PROGRAM_BYTES));
  await expect(sink.add(new Uint8Array(1))).rejects.toMatchObject({ code: "ERR_TAKEOVER_LOST" });
});

class Own {}

it.each([
  [() => Promise.reject(new Error("no")), { message: "no" }],
  [
    () => {
      throw "text";
    },
    { message: "give of the option takeover threw text" },
  ],
  [() => () => {}, { code: "ERR_STATE_NOT_CLONEABLE", message: expect.stringContaining("without functions") }],
  [() => [new Own()], { code: "ERR_STATE_NOT_CLONEABLE", message: expect.stringContaining("instance of Own") }],
])("leaves behind what %s gives, and says why", async (give, error) => {
  const { luggage, left, source } = await given(give);
  expect({ luggage, left }).toMatchObject({ luggage: [], left: [error] });
  // The next takeover begins anew.
  source.begin(other(false));
  expect(await all(source.rest())).toEqual([]);
});

it("gives up functions that hang, at their limits", async () => {
  vi.useFakeTimers();
  try {
    const waits = given(hangs);
    await vi.advanceTimersByTimeAsync(GIVE_LIMIT_MS);
    expect(await waits).toMatchObject({ luggage: [], left: [{ code: "ERR_TAKEOVER_TIMEOUT" }] });
    const { luggage } = await given(() => 1);
    const taking = expect(take(luggage, hangs)).rejects.toMatchObject({ code: "ERR_TAKEOVER_TIMEOUT" });
    await vi.advanceTimersByTimeAsync(TAKE_LIMIT_MS);
    await taking;
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

it("fails with the error of a program that can't take what comes", async () => {
  const { luggage } = await given(() => 1);
  await expect(take(luggage, () => Promise.reject(new Error("unknown version")))).rejects.toThrow("unknown version");
});
