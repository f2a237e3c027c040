import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { type CounterName, Counters } from "../../src/shard/counters.ts";

const names = Object.keys(new Counters().snapshot()) as CounterName[];

describe("counters", () => {
  it("begin at 0", () => {
    expect(Object.values(new Counters().snapshot())).toEqual(names.map(() => 0));
  });

  it.each(names)("count %s apart from the others", (name) => {
    const counters = new Counters();
    counters.add(name);
    counters.add(name, 41);
    expect(counters.get(name)).toBe(42);
    const others = Object.entries(counters.snapshot()).filter(([other]) => other !== name);
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

  it("are seen by everybody who has their memory", () => {
    const counters = new Counters();
    const { port1, port2 } = new MessageChannel();
    port1.postMessage(counters.memory);
    const far = new Counters(receiveMessageOnPort(port2)?.message as SharedArrayBuffer);
    counters.add("messagesSent", 7);
    expect(far.get("messagesSent")).toBe(7);
    expect(far.snapshot()).toEqual(counters.snapshot());
    port1.close();
  });

  it("give a snapshot that stays as it was", () => {
    const counters = new Counters();
    const before = counters.snapshot();
    counters.add("publishes");
    expect(before.publishes).toBe(0);
  });
});
