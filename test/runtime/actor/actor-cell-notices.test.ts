import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import type { Notice } from "../../../src/runtime/actor/work.ts";
import type { Position } from "../../../src/runtime/streams/position.ts";
import type { PresenceEvent } from "../../../src/runtime/streams/topic-memory.ts";
import { log, message, Sync, start } from "./cell.ts";

/** Waits in `received` until the test lets it go. */
let busy: PromiseWithResolvers<void> | undefined;

class Told extends Sync {
  override async received(): Promise<void> {
    await busy?.promise;
  }
  override streamLost(topic: string, { epoch, offset }: Position): void {
    log.push(`lost ${topic} ${epoch} ${offset}`);
    if (topic === "throw") throw new Error("thrown");
  }
  override presenceChanged(event: PresenceEvent): void {
    log.push(
      event.kind === "missed" ? `missed ${event.topic}` : `${event.kind} ${event.topic} ${event.member.address}`,
    );
  }
}

function lost(topic: string): Notice {
  return { kind: "notice", handler: "streamLost", topic, position: { epoch: "e", offset: 7 } };
}

function joined(topic: string, address: string): Notice {
  const member = { address, node: "n", user: undefined, info: undefined };
  return { kind: "notice", handler: "presenceChanged", event: { kind: "joined", topic, member, ofUser: true } };
}

/** Opens an actor that is busy. Returns a function that ends that. */
function startBusy(mails = 3) {
  const started = start(Told, { mails });
  started.open();
  const current = Promise.withResolvers<void>();
  busy = current;
  started.cell.deliver(message("wait"));
  const free = async (): Promise<void> => {
    busy = undefined;
    current.resolve();
    for (let i = 0; i < 20; i++) await turn();
  };
  return { ...started, free };
}

it("tells news of topics in a later turn, in order", async () => {
  const { cell, open, log } = start(Told);
  open();
  cell.notify(joined("t", "a"));
  cell.notify(lost("s"));
  expect(log).toEqual(["opened"]);
  await turn();
  expect(log).toEqual(["opened", "joined t a", "lost s e 7"]);
});

it("replaces changes for which the mailbox has no room by one notice for each topic, in their place", async () => {
  const { cell, log, free } = startBusy(3);
  for (const address of ["a", "b", "c", "d", "e"]) cell.notify(joined("t", address));
  for (const address of ["f", "g"]) cell.notify(joined("u", address));
  cell.notify(lost("s"));
  await free();
  expect(log).toEqual(["opened", "joined t a", "joined t b", "joined t c", "missed t", "missed u", "lost s e 7"]);
});

it("tells of missed changes again when changes are missed again", async () => {
  const { cell, log, free } = startBusy(1);
  for (const address of ["a", "b"]) cell.notify(joined("t", address));
  await free();
  const second = Promise.withResolvers<void>();
  busy = second;
  cell.deliver(message("wait"));
  for (const address of ["c", "d"]) cell.notify(joined("t", address));
  second.resolve();
  for (let i = 0; i < 20; i++) await turn();
  expect(log).toEqual(["opened", "joined t a", "missed t", "joined t c", "missed t"]);
});

it("tells of missed changes even if the mailbox is never empty", async () => {
  const { cell, log, free } = startBusy(1);
  for (const address of ["a", "b"]) cell.notify(joined("t", address));
  for (let i = 0; i < 100; i++) cell.deliver(message(`${i}`));
  cell.notify(lost("s"));
  await free();
  expect(log.indexOf("missed t")).toBeLessThan(log.indexOf("lost s e 7"));
});

it("keeps the number of waiting notices bounded", () => {
  const { cell } = startBusy(2);
  for (let i = 0; i < 1_000; i++) cell.notify(joined(`${i % 5}`, "a"));
  cell.end(1000, "");
  expect(cell.hasEnded).toBe(true);
});

it("tells nothing to an actor that has ended or was stopped", async () => {
  const { cell, log, free } = startBusy();
  cell.notify(lost("s"));
  cell.stop();
  cell.notify(joined("t", "a"));
  await free();
  cell.end(1000, "");
  cell.notify(lost("s"));
  await turn();
  expect(log).toEqual(["opened", "closed 1000 "]);
});

it("reports a handler that throws by its name, and a function that fails for the actor by the name that is given", async () => {
  const { cell, open, log } = start(Told);
  open();
  cell.notify(lost("throw"));
  await turn();
  expect(log).toEqual(["opened", "lost throw e 7", "failed streamLost: thrown"]);
  const second = start(Told);
  second.open();
  second.cell.fail("encode", new Error("no"));
  expect(second.log).toEqual(["opened", "failed encode: no"]);
  second.cell.notify(lost("s"));
  await turn();
  expect(second.log).toHaveLength(2);
});
