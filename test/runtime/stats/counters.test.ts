import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { type CounterName, Counters } from "../../../src/runtime/stats/counters.ts";

/** The plain counters. Counters by code or actor module, and histograms, have tests of their own. */
function values(counters: Counters): [CounterName, number][] {
  const { byActor: _byActor, closes: _closes, handoff: _handoff, busLag: _busLag, ...plain } = counters.snapshot();
  return Object.entries(plain) as [CounterName, number][];
}

const names = values(new Counters()).map(([name]) => name);

describe("counters", () => {
  it("begin at 0", () => {
    expect(values(new Counters()).map(([, value]) => value)).toEqual(names.map(() => 0));
  });

  it.each(names)("count %s separately from the others", (name) => {
    const counters = new Counters();
    counters.add(name);
    counters.add(name, 41);
    expect(counters.get(name)).toBe(42);
    const others = values(counters).filter(([other]) => other !== name);
    expect(others.map(([, value]) => value)).toEqual(names.slice(1).map(() => 0));
  });

  it("go down as well as up", () => {
    const counters = new Counters();
    counters.add("connections", 3);
    counters.add("connections", -1);
    expect(counters.get("connections")).toBe(2);
    counters.set("connections", 0);
    expect(counters.get("connections")).toBe(0);
  });

  it("count exactly beyond what 32 bits hold", () => {
    const counters = new Counters();
    counters.set("bytesReceived", 2 ** 52);
    counters.add("bytesReceived");
    expect(counters.get("bytesReceived")).toBe(2 ** 52 + 1);
  });

  it("are shared by all objects on the same memory", () => {
    const counters = new Counters();
    const { port1, port2 } = new MessageChannel();
    port1.postMessage(counters.memory);
    const far = new Counters(undefined, receiveMessageOnPort(port2)?.message as SharedArrayBuffer);
    counters.add("messagesSent", 7);
    expect(far.get("messagesSent")).toBe(7);
    expect(far.snapshot()).toEqual(counters.snapshot());
    port1.close();
  });

  it("count each actor module by itself, in memory that threads share", () => {
    const actors = [undefined, "admin"];
    const counters = new Counters(actors);
    const far = new Counters(actors, counters.memory);
    counters.byActor.add("admin", "connections", 2);
    counters.byActor.add("admin", "connectionsOpened", 3);
    counters.byActor.add(undefined, "failures");
    counters.byActor.add("unknown", "failures");
    const zero = { connections: 0, connectionsOpened: 0, failures: 0, handlerTimeouts: 0 };
    expect(far.snapshot().byActor).toEqual([
      { ...zero, actor: undefined, failures: 1 },
      { ...zero, actor: "admin", connections: 2, connectionsOpened: 3 },
    ]);
    far.clearGauges();
    expect(counters.snapshot().byActor[1]).toEqual({ ...zero, actor: "admin", connectionsOpened: 3 });
  });

  it("keep their counts and reset their gauges for a new thread", () => {
    const counters = new Counters();
    counters.add("connections", 5);
    counters.add("connectionsOpened", 7);
    counters.clearGauges();
    expect(counters.snapshot()).toMatchObject({ connections: 0, connectionsOpened: 7 });
  });

  it("return a snapshot that doesn't change", () => {
    const counters = new Counters();
    const before = counters.snapshot();
    counters.add("publishes");
    expect(before.publishes).toBe(0);
  });
});
