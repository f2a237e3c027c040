import { describe, expect, it } from "vitest";
import type { StateRequest } from "../../../../src/runtime/engine/messages.ts";
import { StateGate } from "../../../../src/runtime/engine/takeover/state-gate.ts";

const publish = (topic: string): StateRequest => {
  const bytes = Uint8Array.of(1);
  return { kind: "publish", topic, bytes, idempotencyKey: undefined, expiresMs: undefined, store: true };
};
const stats = (topic: string): StateRequest => ({ kind: "memberStats", topic });
const STATS = { connections: 1, users: 1 };

/** A gate whose owner writes down where each request goes. */
function open() {
  const here: string[] = [];
  const passedOn = new Map<string, number>();
  const gate = new StateGate({
    perform: async ({ topic }) => {
      here.push(topic);
      return STATS;
    },
    passOn: (serial, { topic }) => passedOn.set(topic, serial),
  });
  return { gate, here, passedOn };
}

describe("who answers requests during a takeover", () => {
  it("is the engine here, in the order of the requests, after a wait too", async () => {
    const { gate, here } = open();
    await gate.do(publish("a"));
    gate.set("nowhere");
    const waiting = [gate.do(publish("b")), gate.do(stats("c")), gate.do(publish("d"))];
    expect([gate.isHere, here]).toEqual([false, ["a"]]);
    gate.set("here");
    expect(await Promise.all(waiting)).toEqual([STATS, STATS, STATS]);
    expect([gate.isHere, here]).toEqual([true, ["a", "b", "c", "d"]]);
  });

  it("is the engine here for reads only, while publishes wait", async () => {
    const { gate, here } = open();
    gate.set("hereReadOnly");
    const published = gate.do(publish("a"));
    expect(await gate.do(stats("b"))).toBe(STATS);
    gate.set("here");
    await published;
    expect(here).toEqual(["b", "a"]);
  });

  it("is the other process, which answers or fails each by its serial", async () => {
    const { gate, here, passedOn } = open();
    gate.set("nowhere");
    const [first, second] = [gate.do(publish("a")), gate.do(publish("b"))];
    gate.set("elsewhere");
    expect([...passedOn.keys()]).toEqual(["a", "b"]);
    const error = { name: "Error", message: "no room", code: "ERR_ENGINE_FULL", stack: undefined };
    gate.passedBack({ kind: "passedBack", serial: passedOn.get("b") ?? -1, error });
    gate.passedBack({ kind: "passedBack", serial: passedOn.get("a") ?? -1, answer: STATS });
    await expect(second).rejects.toMatchObject({ code: "ERR_ENGINE_FULL", kind: "capacity" });
    expect([await first, here]).toEqual([STATS, []]);
  });

  it("is nobody once the engine stops, but the other process may still answer what it was asked", async () => {
    const { gate, passedOn } = open();
    gate.set("elsewhere");
    const asked = gate.do(publish("a"));
    gate.set("nowhere");
    const waiting = gate.do(publish("b"));
    const closed = gate.close();
    await expect(waiting).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    gate.passedBack({ kind: "passedBack", serial: passedOn.get("a") ?? -1, answer: STATS });
    await closed;
    expect(await asked).toBe(STATS);
  });
});
