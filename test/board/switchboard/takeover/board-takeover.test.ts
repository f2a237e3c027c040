/** Takeovers between boards of one process. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";
import { BroadcastChannel } from "node:worker_threads";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { type EngineSpec, memory, Switchboard } from "../../../../src/index.ts";
import { whyNoPassing } from "../../../../src/wire/native/pass-descriptors.ts";
import { allAnswered, expectAllRight, openClients } from "../../../e2e/takeover/counted-clients.ts";
import { takeoverPath } from "../../../e2e/takeover/server-process.ts";
import { actorUrl } from "../../../support/board.ts";
import { SLOW_ENGINE } from "../../../support/engines/slow.ts";
import { freePort } from "../../../support/free-port.ts";

vi.setConfig({ testTimeout: 60_000 });

describe.skipIf(whyNoPassing() !== undefined)("a board that has taken over", () => {
  it("keeps everybody if it can't wait for the next process, and waits as soon as it can", async () => {
    const takeover = takeoverPath();
    const start = async (port: number, started = (): void => {}) => {
      const board = await Switchboard.start({ actor: actorUrl("counting"), takeover, shards: 1, warmUp: false });
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

describe.skipIf(whyNoPassing() !== undefined)("two boards with the memory engine, during a takeover", () => {
  const TOPIC = "stream";

  /** Starts boards that take over from each other. */
  async function chain(engine: EngineSpec) {
    const takeover = takeoverPath();
    const topics = { [TOPIC]: { history: { size: 100 } } };
    const port = await freePort();
    const start = async () => {
      const options = { actor: actorUrl("counting"), engine, topics, takeover, shards: 1, warmUp: false } as const;
      const board = await Switchboard.start(options);
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
