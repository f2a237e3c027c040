/** Takeovers in which something goes wrong. `npm run faults` makes a table of them. */
import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { whyNoPassing } from "../../src/wire/native/pass-descriptors.ts";
import type { ServerOptions } from "../e2e/takeover/programs/server.ts";
import { ServerProcess, takeoverPath } from "../e2e/takeover/server-process.ts";
import { Crowd } from "./moving/crowd.ts";
import { isLong } from "./rows.ts";

/** A server with clients. */
async function serve(actor = "counting") {
  const start = { actor, takeover: takeoverPath(), shards: 2, warmUp: false };
  const run = (options: Partial<ServerOptions> = {}): ServerProcess =>
    new ServerProcess({ start: { ...start, ...options.start }, listen: [{}], ...without(options) });
  const old = run();
  const { ports } = await old.tells("listening");
  const port = ports[0] as number;
  const crowd = await Crowd.join(port);
  return { run, old, crowd, port, path: start.takeover };
}

function without({ start: _, ...rest }: Partial<ServerOptions>): Omit<Partial<ServerOptions>, "start"> {
  return rest;
}

const NOTHING_LOST = { lost: 0, wrong: [] };

/** Takes over once more, with a process that works. */
async function takesOver(run: () => ServerProcess, crowd: Crowd): Promise<ServerProcess> {
  const next = run();
  expect(await next.tells("takenOver")).toMatchObject({ connections: crowd.size });
  await crowd.goesOn();
  return next;
}

describe.runIf(isLong && whyNoPassing() === undefined)("a takeover", () => {
  it.each([
    { fault: "the new process is killed before it listens", fails: "listen", failsBy: "SIGKILL" },
    { fault: "the new process is killed while connections arrive", fails: "suspend", failsBy: "SIGKILL" },
    { fault: "the new process stands still while connections arrive", fails: "suspend", failsBy: "SIGSTOP" },
  ] as const)("in which $fault", async ({ fault, fails, failsBy }) => {
    const { run, old, crowd } = await serve();
    const next = run({ fails, failsBy });
    const { code } = await old.tells("successorFailed");
    expect((await next.end()).signal).toBe("SIGKILL");
    await crowd.goesOn();
    await takesOver(run, crowd);
    const ended = failsBy === "SIGSTOP" ? "the old process ends it after 5 s, then takes" : "the old process takes";
    expect(await crowd.end(fault, `${ended} everything back (${code}); the next takeover works`)).toEqual(NOTHING_LOST);
  });

  it("in which both processes stand still", async () => {
    const { run, old, crowd } = await serve();
    const next = run({ fails: "suspend", failsBy: "SIGSTOP" });
    await next.stands();
    old.program.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 8_000));
    old.program.kill("SIGCONT");
    next.program.kill("SIGCONT");
    await next.tells("takenOver");
    await crowd.goesOn();
    const result = "both go on: a process that stood still itself doesn't count the other's silence";
    expect(await crowd.end("both processes stand still for 8 s half way", result)).toEqual(NOTHING_LOST);
  });

  it("in which the old process is killed", async () => {
    const { run, old, crowd } = await serve();
    const next = run({ fails: "suspend", failsBy: "SIGSTOP" });
    await next.stands();
    old.program.kill("SIGKILL");
    next.program.kill("SIGCONT");
    const { connections, predecessorDied } = await next.tells("takenOver");
    expect(predecessorDied).toBe(true);
    await crowd.goesOn();
    const result = `the new process goes on with the ${connections} connections that it has got`;
    const { lost, wrong } = await crowd.end("the old process is killed while connections leave", result);
    expect({ kept: crowd.size - lost, wrong }).toEqual({ kept: connections, wrong: [] });
  });

  it("in which the old process wedges", async () => {
    const { run, old, crowd } = await serve();
    const next = run({ fails: "suspend", failsBy: "SIGSTOP" });
    await next.stands();
    old.program.kill("SIGSTOP");
    next.program.kill("SIGCONT");
    const { connections, predecessorDied } = await next.tells("takenOver");
    expect(predecessorDied).toBe(true);
    expect((await old.end()).signal).toBe("SIGKILL");
    await crowd.goesOn();
    const result = `the new process ends it after 30 s, and goes on with the ${connections} connections that it has got`;
    const { wrong } = await crowd.end("the old process stands still while connections leave", result);
    expect(wrong).toEqual([]);
  });

  it("while a handler never ends", async () => {
    const { run, old, crowd, port } = await serve("holding");
    const holding = new WebSocket(`ws://127.0.0.1:${port}/`);
    await once(holding, "open");
    holding.send("hold");
    await once(holding, "message");
    const closed = once(holding, "close");
    await takesOver(() => run(), crowd);
    const [code] = await closed;
    const { reason } = await old.tells("moveFailed");
    const result = `its connection is closed with ${code} (\`moveFailed\`, ${reason}); nobody else waits for the handler`;
    expect(await crowd.end("one handler never ends", result)).toEqual(NOTHING_LOST);
  });

  it("by two processes at once", async () => {
    const { run, crowd } = await serve();
    const first = run({ fails: "suspend", failsBy: "SIGSTOP" });
    await first.stands();
    const second = run();
    const { code, message } = await second.tells("refused");
    first.program.kill("SIGCONT");
    await first.tells("takenOver");
    await crowd.goesOn();
    const result = `the second is refused: "${message}" (${code}); the first goes on`;
    expect(await crowd.end("a second takeover during the first", result)).toEqual(NOTHING_LOST);
  });

  it("by code that doesn't know the state", async () => {
    const { run, old, crowd } = await serve();
    const next = run({ start: { actor: "echo" } });
    const { code, message } = await next.tells("refused");
    expect(await old.tells("successorFailed")).toMatchObject({ wasRefused: true });
    await crowd.goesOn();
    const result = `refused before anything stops: "${message}" (${code})`;
    expect(await crowd.end("the new version's actor has no `moves`", result)).toEqual(NOTHING_LOST);
  });

  it("there and back, four times", async () => {
    const { run, crowd } = await serve();
    for (let times = 0; times < 4; times++) await takesOver(run, crowd);
    const result = "each process takes over from the one before; going back is the same";
    expect(await crowd.end("no fault: four takeovers, one after the other", result)).toEqual(NOTHING_LOST);
  });

  it("while strangers connect to its socket", async () => {
    const { run, crowd, path } = await serve();
    const answers: Buffer[] = [];
    const strangers = Array.from({ length: 100 }, (_, index) => {
      const socket = connect(path);
      socket.on("error", () => {});
      socket.on("data", (chunk: Buffer) => answers.push(chunk));
      socket.write(Buffer.alloc(1_000, index + 1));
      onTestFinished(() => void socket.destroy());
      return new Promise((resolve) => socket.once("close", resolve));
    });
    await Promise.all(strangers);
    expect(answers).toEqual([]);
    await takesOver(run, crowd);
    const result = "each is closed without a byte; the takeover afterwards works";
    expect(await crowd.end("100 connections to the takeover socket that speak nonsense", result)).toEqual(NOTHING_LOST);
  });
});
