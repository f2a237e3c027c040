/** Presence on two shards. */
import { describe, expect, it, vi } from "vitest";
import { StreamClient } from "../support/stream-client.ts";
import { changes, numbers, start } from "./stream-board.ts";

describe("presence", () => {
  it("tells every shard who is there, and a user's first and last connection apart from others", async () => {
    const { board, port } = await start();
    const watcher = await StreamClient.openOn(port, 0);
    await watcher.subscribe("lounge:1", { presenceChanges: true });
    const [phone, desk] = [await StreamClient.openOn(port, 1), await StreamClient.openOn(port, 0)];
    await phone.subscribe("lounge:1", { user: "ada", info: { on: "phone" } });
    await desk.subscribe("lounge:1", { user: "ada", info: { on: "desk" } });
    const members = await board.presence("lounge:1");
    expect(members.map(({ address, user, info }) => ({ address, user, info }))).toEqual([
      { address: watcher.address, user: undefined, info: undefined },
      { address: phone.address, user: "ada", info: { on: "phone" } },
      { address: desk.address, user: "ada", info: { on: "desk" } },
    ]);
    expect(await phone.tell("stats", "lounge:1")).toEqual({ connections: 3, users: 2 });
    phone.socket.terminate();
    await vi.waitFor(() => expect(changes(watcher)).toHaveLength(3));
    await desk.tell("unsubscribe", "lounge:1");
    await vi.waitFor(() =>
      expect(changes(watcher)).toEqual([
        ["joined", "ada", true],
        ["joined", "ada", false],
        ["left", "ada", false],
        ["left", "ada", true],
      ]),
    );
  });

  it("doesn't tell a connection of its own join, whether others of its shard watch the topic or not", async () => {
    const { port } = await start();
    const clients = [await StreamClient.openOn(port, 0), await StreamClient.openOn(port, 0)];
    for (const [i, client] of clients.entries()) {
      await client.tell("enter", "hall:1", { user: `user ${i}`, presenceChanges: true });
    }
    const last = await StreamClient.openOn(port, 1);
    await last.tell("enter", "hall:1", { user: "user 2" });
    await vi.waitFor(() =>
      expect(clients.map(changes)).toEqual([
        [
          ["joined", "user 1", true],
          ["joined", "user 2", true],
        ],
        [["joined", "user 2", true]],
      ]),
    );
  });

  it("keeps nobody whose connection ends while it subscribes, and nobody who has unsubscribed", async () => {
    const { board, port } = await start();
    const clients = await Promise.all(numbers(1, 40).map(() => StreamClient.open(port)));
    for (const [i, client] of clients.entries()) {
      const entered = client.tell(i % 2 === 0 ? "enter" : "subscribe", i % 2 === 0 ? "hall:1" : "lounge:1", {
        user: "ada",
      });
      entered.catch(() => {});
      if (i % 4 < 2) client.socket.close();
      else if (i % 2 === 0) client.tell("unsubscribe", "hall:1").catch(() => {});
      else client.tell("unsubscribe", "lounge:1").catch(() => {});
    }
    await Promise.all(clients.filter((_, i) => i % 4 >= 2).map((client) => client.tell("who", "")));
    await vi.waitFor(async () => {
      for (const topic of ["hall:1", "lounge:1"]) {
        expect(await board.presenceStats(topic)).toEqual({ connections: 0, users: 0 });
      }
    });
  });

  it("takes each connection without a user for a user of its own", async () => {
    const { board, port } = await start();
    const watcher = await StreamClient.openOn(port, 0);
    await watcher.subscribe("lounge:1", { presenceChanges: true });
    for (let visit = 1; visit <= 2; visit++) {
      const client = await StreamClient.openOn(port, 1);
      await client.subscribe("lounge:1");
      expect(await board.presenceStats("lounge:1")).toEqual({ connections: 2, users: 2 });
      client.socket.terminate();
      await vi.waitFor(() => expect(changes(watcher)).toHaveLength(2 * visit));
    }
    const visit = [
      ["joined", undefined, true],
      ["left", undefined, true],
    ];
    expect(changes(watcher)).toEqual([...visit, ...visit]);
  });

  it("takes a user who comes back within the grace time for one who stayed", async () => {
    const { board, port } = await start();
    const watcher = await StreamClient.openOn(port, 0);
    await watcher.tell("enter", "hall:1", { presenceChanges: true });
    const before = await StreamClient.open(port);
    await before.tell("enter", "hall:1", { user: "ada" });
    before.socket.terminate();
    await vi.waitFor(async () => expect(await board.presenceStats("hall:1")).toEqual({ connections: 1, users: 1 }));
    const after = await StreamClient.open(port);
    await after.tell("enter", "hall:1", { user: "ada" });
    await vi.waitFor(() => expect(changes(watcher)).toHaveLength(2));
    expect(changes(watcher)).toEqual([
      ["joined", "ada", true],
      ["joined", "ada", false],
    ]);
  });
});
