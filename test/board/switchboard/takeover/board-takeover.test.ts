/** Takeovers between boards of one process. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";
import { BroadcastChannel } from "node:worker_threads";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { type EngineSpec, memory, Switchboard } from "../../../../src/index.ts";
import { whyNoPassing } from "../../../../src/wire/native/pass-descriptors.ts";
import { allAnswered, expectAllRight, openClients } from "../../../e2e/takeover/counted-clients.ts";
import { aliasOf, takeoverPath } from "../../../e2e/takeover/server-process.ts";
import { actorUrl } from "../../../support/board.ts";
import { SLOW_ENGINE } from "../../../support/engines/slow.ts";
import { freePort } from "../../../support/free-port.ts";

vi.setConfig({ testTimeout: 60_000 });

describe.skipIf(whyNoPassing() !== undefined)("a board that has taken over", () => {
  it("keeps everybody if it can't wait for the next process, and waits as soon as it can", async () => {
    const takeover = takeoverPath();
    const start = async (port: number, started = (): void => {}) => {
      const board = await Switchboard.start({
        actor: actorUrl("counting"),
        takeover: aliasOf(takeover),
        shards: 1,
        warmUp: false,
      });
      onTestFinished(() => void board.close({ timeoutMs: 0 }));
      const failed = new Promise<Error>((resolve) => board.once("takeoverUnavailable", resolve));
      const taken = new Promise((resolve) => board.once("takenOver", resolve));
      started();
      return { failed, taken, address: await board.listen({ port, host: "127.0.0.1" }) };
    };
    const port = await freePort();
    await start(port);
    const clients = await openClients(5, { port });
    const next = await start(port, () => rmSync(dirname(takeover), { recursive: true }));
    expect(await next.taken).toMatchObject({ connections: clients.length });
    expect(await next.failed).toMatchObject({ code: expect.stringMatching(/^E/) });
    await allAnswered(clients);
    mkdirSync(dirname(takeover), { mode: 0o700 });
    await vi.waitFor(() => expect(existsSync(takeover)).toBe(true), 30_000);
    expect(await (await start(port)).taken).toMatchObject({ connections: clients.length });
    await allAnswered(clients);
    await expectAllRight(clients);
  });
});

describe.skipIf(whyNoPassing() !== undefined)("a start with the option takeover", () => {
  const start = (takeover: string) =>
    Switchboard.start({ actor: actorUrl("counting"), takeover, shards: 1, warmUp: false });

  it("is refused for a path that another board of the process has, until that is closed", async () => {
    const path = takeoverPath();
    const first = await start(path);
    onTestFinished(() => void first.close({ timeoutMs: 0 }));
    await expect(start(path)).rejects.toMatchObject({
      code: "ERR_OPTION",
      message: expect.stringContaining(`another board of this process has the takeover path ${path}`),
    });
    await first.close({ timeoutMs: 0 });
    const second = await start(path);
    await second.close({ timeoutMs: 0 });
  });

  it.each([
    ["relative/socket", "is relative: relative/socket"],
    ["/nowhere/socket", "mkdir -m 0700 /nowhere"],
  ])("says what to do about the path %s", async (path, message) => {
    await expect(start(path)).rejects.toMatchObject({
      code: "ERR_TAKEOVER_DIRECTORY",
      message: expect.stringContaining(message),
    });
  });

  it("leaves a file alone that is at the path", async () => {
    const path = takeoverPath();
    writeFileSync(path, "data");
    await expect(start(path)).rejects.toMatchObject({
      code: "ERR_TAKEOVER_DIRECTORY",
      message: expect.stringContaining(`is that of a file: ${path}`),
    });
    expect(readFileSync(path, "utf8")).toBe("data");
  });

  it("gets a port that the process before has by 0 also by its number", async () => {
    const path = takeoverPath();
    const old = await start(aliasOf(path));
    onTestFinished(() => void old.close({ timeoutMs: 0 }));
    const { port } = await old.listen({ port: 0, host: "127.0.0.1" });
    const next = await start(aliasOf(path));
    onTestFinished(() => void next.close({ timeoutMs: 0 }));
    expect(await next.listen({ port, host: "127.0.0.1" })).toMatchObject({ port });
  });

  it("calls the takeover off when the program asks for a port of the process before with another host", async () => {
    const path = takeoverPath();
    const old = await start(aliasOf(path));
    onTestFinished(() => void old.close({ timeoutMs: 0 }));
    const { port } = await old.listen({ port: 0, host: "127.0.0.1" });
    const next = await start(aliasOf(path));
    const failed = new Promise((resolve) => old.once("successorFailed", resolve));
    next.on("takeoverFailed", () => {});
    await expect(next.listen({ port, host: "0.0.0.0" })).rejects.toMatchObject({
      code: "ERR_OPTION",
      message: expect.stringContaining("ask for it with the same host"),
    });
    await failed;
    // The next one works.
    const last = await start(aliasOf(path));
    onTestFinished(() => void last.close({ timeoutMs: 0 }));
    expect(await last.listen({ port, host: "127.0.0.1" })).toMatchObject({ port });
  });
});

describe.skipIf(whyNoPassing() !== undefined)("two boards with the memory engine, during a takeover", () => {
  const TOPIC = "stream";

  /** Starts boards that take over from each other. */
  async function chain(engine: EngineSpec) {
    const takeover = takeoverPath();
    const topics = { [TOPIC]: { history: { size: 100 } } };
    const port = await freePort();
    const start = async () => {
      const options = { actor: actorUrl("counting"), engine, topics, shards: 1, warmUp: false } as const;
      const board = await Switchboard.start({ ...options, takeover: aliasOf(takeover) });
      onTestFinished(() => void board.close({ timeoutMs: 0 }));
      return { board, listen: () => board.listen({ port, host: "127.0.0.1" }) };
    };
    return { start, port };
  }

  const publish = async (board: Switchboard, text: string) => (await board.publish(TOPIC, text).stored)?.position;
  const read = async (board: Switchboard) => {
    const { top, publications } = await board.history(TOPIC);
    return { top, texts: publications.map(({ message }) => message.text) };
  };

  it("answer with one engine: the old one before the takeover, the new one afterwards", async () => {
    const { start } = await chain(memory());
    const old = await start();
    await old.listen();
    const { epoch = "" } = (await publish(old.board, "a")) ?? {};
    const next = await start();
    expect(await publish(next.board, "b")).toEqual({ epoch, offset: 2 });
    expect(await read(next.board)).toEqual(await read(old.board));
    const meets: Promise<unknown>[] = [];
    old.board.once("handingOver", () => meets.push(publish(old.board, "c"), publish(next.board, "d")));
    const closed = new Promise((resolve) => old.board.once("closed", resolve));
    const later = new Promise((resolve) => old.board.once("handedOver", () => resolve(publish(old.board, "e"))));
    await next.listen();
    expect(await Promise.all(meets)).toEqual(expect.arrayContaining([3, 4].map((offset) => ({ epoch, offset }))));
    expect(await later).toEqual({ epoch, offset: 5 });
    expect((await read(next.board)).texts.toSorted()).toEqual(["a", "b", "c", "d", "e"]);
    await closed;
  });

  it("accept and serve in the old process while the new one takes what the engine keeps", async () => {
    const module = new URL("../../../support/engines/slow.ts", import.meta.url).href;
    const { start, port } = await chain({ ...memory(), module });
    const old = await start();
    await old.listen();
    const engine = new BroadcastChannel(SLOW_ENGINE);
    onTestFinished(() => engine.close());
    const waits = new Promise((resolve) => {
      engine.onmessage = resolve;
    });
    const next = await start();
    const taken = new Promise((resolve) => next.board.once("takenOver", resolve));
    const listening = next.listen();
    await waits;
    const clients = await openClients(3, { port });
    const stored = await publish(old.board, "a");
    engine.postMessage("go on");
    expect(await taken).toMatchObject({ connections: clients.length });
    await listening;
    expect(await read(next.board)).toEqual({ top: stored, texts: ["a"] });
    await allAnswered(clients);
    await expectAllRight(clients);
  });

  it("answer the last requests of the first board also when two takeovers have followed it", async () => {
    const { start } = await chain(memory());
    const old = await start();
    const asked = Promise.withResolvers<ServerResponse>();
    const server = createServer((_request, response) => asked.resolve(response));
    const { port } = (await old.board.listen(server, { port: 0, host: "127.0.0.1" })) as AddressInfo;
    const answered = fetch(`http://127.0.0.1:${port}`);
    const response = await asked.promise;
    const closed: string[] = [];
    const boards = [old, await start()];
    await boards[1]?.board.listen(createServer(), { port: 0, host: "127.0.0.1" });
    boards.push(await start());
    await boards[2]?.board.listen(createServer(), { port: 0, host: "127.0.0.1" });
    for (const [index, { board }] of boards.entries()) board.once("closed", () => closed.push(`board ${index}`));
    const offsets: (number | undefined)[] = [];
    while (offsets.length < 500) offsets.push((await publish(old.board, "late"))?.offset);
    expect(offsets).toEqual(Array.from({ length: 500 }, (_, index) => index + 1));
    expect(closed).toEqual([]);
    response.end();
    await answered;
    await vi.waitFor(() => expect(closed).toEqual(["board 0", "board 1"]));
  });

  it("leave publications behind that are too many, and go on with the offsets", async () => {
    const { start } = await chain(memory({ maxTakeoverBytes: 0 }));
    const old = await start();
    await old.listen();
    const { epoch = "" } = (await publish(old.board, "a")) ?? {};
    const left = new Promise((resolve) => old.board.once("historyLeft", resolve));
    const next = await start();
    await next.listen();
    expect(await left).toMatchObject({ topics: 1, publications: 1, error: { code: "ERR_ENGINE_FULL" } });
    expect(await read(next.board)).toEqual({ top: { epoch, offset: 1 }, texts: [] });
    expect(await publish(next.board, "b")).toEqual({ epoch, offset: 2 });
  });
});
