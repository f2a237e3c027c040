import { fstatSync, openSync } from "node:fs";
import { devNull } from "node:os";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Inheritance, listenersOf } from "../../../../src/board/switchboard/listen/inheritance.ts";
import { whyNoPassing } from "../../../../src/wire/native/pass-descriptors.ts";

/** The sockets of two calls of `listen`, as the process before names them. */
function twoSockets(): { readonly inheritance: Inheritance; readonly descriptors: readonly number[] } {
  const calls = [8080, 8081].map((port) => ({
    asked: { port },
    address: { address: "::", family: "IPv6", port },
    descriptors: [openSync(devNull, "r")],
  }));
  const descriptors = calls.flatMap((call) => call.descriptors);
  return { inheritance: new Inheritance(listenersOf(calls)), descriptors };
}

/** Tells whether a promise has resolved by now, in this turn. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  const waits = {};
  return (await Promise.race([promise, Promise.resolve(waits)])) !== waits;
}

describe.skipIf(whyNoPassing() !== undefined)("the inherited sockets", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("make the last call that asks for one wait for the end of the takeover, and none before", async () => {
    const { inheritance } = twoSockets();
    expect(inheritance.claim({ port: 8080 })).toMatchObject({ address: { port: 8080 } });
    await inheritance.settled();
    expect(inheritance.claim({ port: 8081 })).toMatchObject({ address: { port: 8081 } });
    await inheritance.claimed;
    const settled = inheritance.settled();
    expect(await isDone(settled)).toBe(false);
    inheritance.end(new Error("the other process ended"));
    await expect(settled).rejects.toThrow("the other process ended");
    expect(inheritance.closed).toEqual([]);
  });

  it("are closed when nobody asks for them within 10 s of the last call, also of one for another port", async () => {
    const { inheritance, descriptors } = twoSockets();
    expect(inheritance.claim({ port: 8080 })).toBeDefined();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(inheritance.claim({ port: 9090 })).toBeUndefined();
    await vi.advanceTimersByTimeAsync(9_999);
    expect(await isDone(inheritance.claimed)).toBe(false);
    expect(inheritance.closed).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    await inheritance.claimed;
    expect(inheritance.closed).toMatchObject([{ asked: { port: 8081 } }]);
    expect(() => fstatSync(descriptors[1] as number)).toThrow("EBADF");
    expect(fstatSync(descriptors[0] as number).isCharacterDevice()).toBe(true);
  });
});
