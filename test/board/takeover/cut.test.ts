/**
 * Takeovers whose two processes lose the way between them, while both run: their supervisor was killed, or lost a part.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import type { MovingConnection } from "../../../src/board/takeover/messages.ts";
import { handOver, type TakeoverSource } from "../../../src/board/takeover/predecessor.ts";
import { type TakeoverSink, takeOver, Unanswered } from "../../../src/board/takeover/successor.ts";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { stateOf } from "../../support/process-state.ts";
import { type Kind, MemoryChannel, openSocket } from "./memory-channel.ts";

const CONNECTIONS = 3;

/** A process in place of one of the two, which run in the test: it is killed, or ends, for them. */
function standIn(): ChildProcess {
  const child = spawn("sleep", ["1000"]);
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

function isRunning({ pid = 0 }: ChildProcess): boolean {
  return stateOf(pid) !== "Z";
}

function close(connections: readonly MovingConnection[]): void {
  for (const { descriptor } of connections) closeSync(descriptor);
}

/**
 * A takeover whose channel is cut at a message.
 *
 * @param finish what the new process does once it has everything
 */
function takeoverCutAt(
  kind: Kind,
  next = standIn(),
  finish = async (): Promise<void> => {},
  old: ChildProcess = standIn(),
) {
  const [oldEnd, newEnd] = [new MemoryChannel(next, kind), new MemoryChannel(old, kind)];
  oldEnd.other = newEnd;
  newEnd.other = oldEnd;
  const told: string[] = [];
  const left: MovingConnection[] = Array.from({ length: CONNECTIONS }, () => {
    return { descriptor: openSocket(), state: new Uint8Array(1), shard: 0 };
  });
  const source: TakeoverSource = {
    moves: {},
    shards: 1,
    connections: CONNECTIONS,
    listeners: async () => [],
    stopAccepting: async () => {},
    luggage: async function* () {},
    acceptAgain: async () => void told.push("the old one accepts again"),
    suspend: async () => left.splice(0),
    resume: async (connections) => {
      told.push(`the old one has ${connections.length} back, the new one ${isRunning(next) ? "runs" : "has ended"}`);
      close(connections);
    },
  };
  const sink: TakeoverSink = {
    moves: {},
    shards: 1,
    listen: async () => {},
    take: async () => {},
    adopt: async () => {},
    start: (connections) => {
      told.push(`the new one starts ${connections.length}, the old one ${isRunning(old) ? "runs" : "has ended"}`);
      close(connections);
    },
    finish,
    published: () => {},
  };
  return { old, next, told, handedOver: handOver(oldEnd, source), takenOver: takeOver(newEnd, sink) };
}

async function end(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  if (child.signalCode === null) await once(child, "exit");
}

describe.skipIf(whyNoPassing() !== undefined)("a takeover that is cut", () => {
  it.each(["connections", "adopted"] as const)(
    "at %j: the old process ends the new one, then goes on",
    async (kind) => {
      const { old, told, handedOver, takenOver } = takeoverCutAt(kind);
      expect(await handedOver).toMatchObject({ outcome: "failed", error: { code: "ERR_TAKEOVER_LOST" } });
      expect(told).toEqual([`the old one has ${CONNECTIONS} back, the new one has ended`, "the old one accepts again"]);
      // In place of the new process, which has ended.
      await end(old);
      await takenOver;
    },
  );

  it.each(["go", "done"] as const)(
    "at %j: the old process has nothing left and ends, then the new one goes on",
    async (kind) => {
      const { old, next, told, handedOver, takenOver } = takeoverCutAt(kind);
      expect(await handedOver).toMatchObject({ outcome: "handedOver", connections: CONNECTIONS });
      expect(isRunning(next)).toBe(true);
      for (let turn = 0; turn < 10; turn++) await setImmediate();
      expect(told).toEqual(kind === "go" ? [] : [`the new one starts ${CONNECTIONS}, the old one runs`]);
      await end(old);
      expect(await takenOver).toMatchObject({ connections: CONNECTIONS });
      if (kind === "go") expect(told).toContain(`the new one starts ${CONNECTIONS}, the old one has ended`);
    },
  );

  it.each([false, true])(
    "before the old process has answered: the new one may only go on if that has ended (%s)",
    async (hasEnded) => {
      const old = standIn();
      if (hasEnded) await end(old);
      const { takenOver } = takeoverCutAt("welcome", undefined, undefined, old);
      const error = await takenOver.catch((error: unknown) => error);
      expect(error).toMatchObject({ code: "ERR_TAKEOVER_LOST" });
      expect(error instanceof Unanswered).toBe(hasEnded);
      await end(old);
    },
  );

  it("gives nothing to a process that has ended since it had everything", async () => {
    const next = standIn();
    await end(next);
    const { told, handedOver } = takeoverCutAt("finished", next);
    expect(await handedOver).toMatchObject({ outcome: "failed", connections: 0 });
    expect(told).toEqual([`the old one has ${CONNECTIONS} back, the new one has ended`, "the old one accepts again"]);
  });

  it("after everything was given to a process that has ended: the old one accepts again", async () => {
    const next = standIn();
    const { old, told, handedOver, takenOver } = takeoverCutAt("finished", next, () => end(next));
    expect(await handedOver).toMatchObject({ outcome: "failed", connections: CONNECTIONS });
    expect(told).toContain("the old one accepts again");
    await end(old);
    await takenOver;
  });
});
