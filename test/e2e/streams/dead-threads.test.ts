/** Streams and presence when a shard or the engine thread dies. */
import { once } from "node:events";
import { describe, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import type { TestBoardOptions } from "../../support/board.ts";
import { StreamClient } from "../support/stream-client.ts";
import { changes, event, publish, start } from "./stream-board.ts";

describe("a shard that dies", () => {
  it("loses no history and no offsets, and no subscriber of another shard notices", async () => {
    const { board, port } = await start();
    board.on("shardLost", () => {});
    const [doomed, other] = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 1)];
    for (const client of [doomed, other]) await client.subscribe("room:1");
    await publish(board, "room:1", "1", "2", "3");
    await vi.waitFor(() => expect(doomed.offsets).toEqual([1, 2, 3]));
    const position = doomed.publications.at(-1);
    const replaced = event(board, "shardReplaced");
    doomed.tell("exit", "").catch(() => {});
    await replaced;
    await publish(board, "room:1", "4", "5");
    const back = await StreamClient.openOn(port, 0);
    const { recovered, publications } = await back.subscribe("room:1", { since: position });
    expect({ recovered, offsets: publications.map(({ offset }) => offset) }).toEqual({
      recovered: true,
      offsets: [4, 5],
    });
    await publish(board, "room:1", "6");
    await vi.waitFor(() => expect(back.offsets).toEqual([6]));
    await vi.waitFor(() => expect(other.offsets).toEqual([1, 2, 3, 4, 5, 6]));
  });

  it("takes its members out of presence", async () => {
    const { board, port } = await start();
    board.on("shardLost", () => {});
    const [doomed, other] = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 1)];
    await other.subscribe("lounge:1", { user: "other", presenceChanges: true });
    await doomed.subscribe("lounge:1", { user: "doomed", info: { seat: 3 } });
    expect(await board.presenceStats("lounge:1")).toEqual({ connections: 2, users: 2 });
    doomed.tell("exit", "").catch(() => {});
    await vi.waitFor(() =>
      expect(changes(other)).toEqual([
        ["joined", "doomed", true],
        ["left", "doomed", true],
      ]),
    );
    expect(await other.tell("presence", "lounge:1")).toMatchObject([{ address: other.address, user: "other" }]);
  });
});

describe("an engine thread that dies", () => {
  async function setUp(options: TestBoardOptions = {}) {
    const engine = {
      name: "mortal",
      module: new URL("../../support/engines/mortal.ts", import.meta.url).href,
      options: {},
    };
    const { board, port } = await start({ engine, ...options });
    const events: string[] = [];
    for (const name of ["engineDown", "engineLost", "engineUp"] as const) board.on(name, () => events.push(name));
    return { board, port, events };
  }

  it("is replaced: subscribers are told, publishes reject meanwhile and work afterwards", async () => {
    const { board, port, events } = await setUp();
    const [here, there] = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 1)];
    for (const client of [here, there]) await client.subscribe("room:1");
    const [before] = await publish(board, "room:1", "1");
    await vi.waitFor(() => expect(there.offsets).toEqual([1]));

    const lost = event(board, "engineLost");
    const up = event(board, "engineUp");
    await expect(board.publish("death", "").stored).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    await lost;
    expect(board.health()).toMatchObject({ ok: false, ready: true, engine: { name: "mortal", status: "down" } });
    await expect(board.publish("room:1", "x").stored).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    await expect(here.tell("publish", "room:1")).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    await up;
    expect(board.health()).toMatchObject({ ok: true, engine: { status: "up" } });
    expect(events.toSorted()).toEqual(["engineDown", "engineLost", "engineUp"]);

    await vi.waitFor(() => {
      for (const client of [here, there]) expect(client.lost).toHaveLength(1);
    });
    const { epoch } = here.lost[0]?.position ?? {};
    expect(epoch).not.toBe(before?.position.epoch);
    expect(await here.subscribe("room:1", { since: before?.position })).toEqual({
      wasRecovering: true,
      recovered: false,
      publications: [],
      position: { epoch, offset: 0 },
    });
    expect((await publish(board, "room:1", "new"))[0]?.position).toEqual({ epoch, offset: 1 });
    await vi.waitFor(() => expect(here.publications.at(-1)).toEqual({ epoch, offset: 1, text: "new" }));
    await expect(board.history("room:1", { since: before?.position })).rejects.toMatchObject({
      code: "ERR_STREAM_EPOCH",
    });
    expect(board.stats().publishesFailed).toBe(2);
  });

  it("is ended and replaced, too, when its event loop is blocked for shardTimeoutMs", async () => {
    const { board, port, events } = await setUp({ shardTimeoutMs: 2_000 });
    const client = await StreamClient.openOn(port, 0);
    await client.subscribe("room:1");
    const [lost, up] = [event(board, "engineLost"), event(board, "engineUp")];
    await expect(board.publish("standstill", "").stored).rejects.toMatchObject({ code: "ERR_ENGINE_UNAVAILABLE" });
    expect(await lost).toMatchObject([{ message: expect.stringContaining("shardTimeoutMs (2000 ms)") }]);
    await up;
    expect(events.toSorted()).toEqual(["engineDown", "engineLost", "engineUp"]);
    await vi.waitFor(() => expect(client.lost).toHaveLength(1));
    expect((await publish(board, "room:1", "new"))[0]?.position.epoch).toBe(client.lost[0]?.position.epoch);
  });

  it("closes connections with 1013 whose actor has no streamLost of its own", async () => {
    const { board, port } = await setUp({ actor: "scripted" });
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    await once(socket, "open");
    const closed = once(socket, "close");
    socket.send(JSON.stringify({ do: "subscribe", topic: "room:1" }));
    await once(socket, "message");
    board.publish("death", "");
    expect((await closed)[0]).toBe(1013);
  });

  it("takes presence with it, and every member joins again", async () => {
    const { board, port } = await setUp();
    const clients = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 1)];
    for (const [i, client] of clients.entries()) {
      await client.tell("enter", "hall:1", { user: `user ${i}`, presenceChanges: true });
    }
    const up = event(board, "engineUp");
    board.publish("death", "");
    await up;
    await vi.waitFor(async () => expect(await board.presenceStats("hall:1")).toEqual({ connections: 2, users: 2 }));
    await vi.waitFor(() => {
      for (const client of clients) expect(changes(client)).toContainEqual(["missed"]);
    });
  });
});
