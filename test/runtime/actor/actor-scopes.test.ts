import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, expect, it, vi } from "vitest";
import { ActorScopes, type ScopeOwner } from "../../../src/runtime/actor/actor-scopes.ts";

afterEach(() => void vi.useRealTimers());

function owner() {
  return {
    place: -1,
    detachedFailed: vi.fn<ScopeOwner["detachedFailed"]>(() => true),
    dropScope: vi.fn<ScopeOwner["dropScope"]>(),
  };
}

it("attributes a failure to the actor in whose scope the work began, whenever it fails", async () => {
  const scopes = new ActorScopes();
  const [one, two] = [owner(), owner()];
  const [first, second] = [scopes.create(one, 0), scopes.create(two, 3)];
  const fail = (error: string): boolean => scopes.blame(error);
  const failLater = async (error: string): Promise<boolean> => {
    await turn();
    await undefined;
    return fail(error);
  };
  expect(first.runInAsyncScope(fail, undefined, "at once")).toBe(true);
  const failed = [
    first.runInAsyncScope(failLater, undefined, "later"),
    second.runInAsyncScope(failLater, undefined, "the other's"),
  ];
  expect(scopes.blame("outside")).toBe(false);
  expect(await Promise.all(failed)).toEqual([true, true]);
  expect(scopes.blame("outside again")).toBe(false);
  expect(one.detachedFailed.mock.calls).toEqual([
    ["at once", 0],
    ["later", 0],
  ]);
  expect(two.detachedFailed.mock.calls).toEqual([["the other's", 3]]);
});

it("attributes nothing to another actor whose handler created the scope", () => {
  const scopes = new ActorScopes();
  const [one, two] = [owner(), owner()];
  const own = new AsyncLocalStorage<string>();
  const inner = scopes.create(one, 0).runInAsyncScope(() => own.run("one's", () => scopes.create(two, 0)));
  inner.runInAsyncScope(() => {
    expect(own.getStore()).toBeUndefined();
    scopes.blame("two's");
  });
  expect(one.detachedFailed).not.toHaveBeenCalled();
  expect(two.detachedFailed).toHaveBeenCalledOnce();
});

it("makes actors drop their kept scopes after a while, repeatedly, but not released ones", () => {
  vi.useFakeTimers();
  const scopes = new ActorScopes();
  const [one, two] = [owner(), owner()];
  scopes.keep(one);
  scopes.keep(two);
  scopes.release(two);
  vi.advanceTimersByTime(10_000);
  expect(one.dropScope).toHaveBeenCalledOnce();
  vi.advanceTimersByTime(10_000);
  expect(one.dropScope).toHaveBeenCalledOnce();
  scopes.keep(one);
  vi.advanceTimersByTime(10_000);
  expect(one.dropScope).toHaveBeenCalledTimes(2);
  expect(two.dropScope).not.toHaveBeenCalled();
});
