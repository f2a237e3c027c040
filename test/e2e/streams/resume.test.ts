/** Clients that come back to a stream, and second subscriptions of a connection. */
import { describe, expect, it, vi } from "vitest";
import { StreamClient } from "../support/stream-client.ts";
import { numbers, publish, start } from "./stream-board.ts";

describe("a client that comes back", () => {
  it("gets on the other shard what it missed, in order, and then what is published", async () => {
    const { board, port } = await start();
    const cut = await StreamClient.openOn(port, 0);
    await cut.subscribe("room:1");
    await publish(board, "room:1", "1", "2");
    await vi.waitFor(() => expect(cut.offsets).toEqual([1, 2]));
    const [{ epoch, offset } = { epoch: "", offset: 0 }] = cut.publications.slice(-1);
    cut.socket.terminate();
    await publish(board, "room:1", "3", "4", "5");

    const back = await StreamClient.openOn(port, 1);
    expect(await back.subscribe("room:1", { since: { epoch, offset } })).toEqual({
      wasRecovering: true,
      recovered: true,
      publications: [3, 4, 5].map((one) => ({ epoch, offset: one, text: String(one) })),
      position: { epoch, offset: 5 },
    });
    await publish(board, "room:1", "6");
    await vi.waitFor(() => expect(back.publications).toEqual([{ epoch, offset: 6, text: "6" }]));
  });

  it("is told when the history no longer has everything, and gets no part of it", async () => {
    const { board, port } = await start();
    const [first] = await publish(board, "short:1", ..."abcdef");
    const client = await StreamClient.open(port);
    const { epoch = "" } = first?.position ?? {};
    expect(await client.subscribe("short:1", { since: { epoch, offset: 1 } })).toEqual({
      wasRecovering: true,
      recovered: false,
      publications: [],
      position: { epoch, offset: 6 },
    });
    await publish(board, "short:1", "g");
    await vi.waitFor(() => expect(client.offsets).toEqual([7]));
  });

  it("gets every publication once while others are published", async () => {
    const { board, port } = await start();
    const [first] = await publish(board, "room:1", ...numbers(1, 50).map(String));
    const { epoch = "" } = first?.position ?? {};
    const clients = await Promise.all(numbers(1, 20).map(() => StreamClient.open(port)));
    const results = clients.map(async (client, i) => {
      for (let published = 0; published < 5; published++) board.publish("room:1", "meanwhile");
      const { recovered, publications } = await client.subscribe("room:1", { since: { epoch, offset: i } });
      expect(recovered).toBe(true);
      return publications.map(({ offset }) => offset);
    });
    const missed = await Promise.all(results);
    await publish(board, "room:1", "last");
    for (const [i, client] of clients.entries()) {
      await vi.waitFor(() => expect(client.publications.at(-1)?.text).toBe("last"));
      expect([...(missed[i] ?? []), ...client.offsets]).toEqual(numbers(i + 1, 151));
    }
  });

  it("gets theirs when it is one of a thousand that come back at once", async () => {
    const { board, port } = await start();
    const [first] = await publish(board, "room:1", ...numbers(1, 100).map(String));
    const { epoch = "" } = first?.position ?? {};
    const clients: StreamClient[] = [];
    for (let opened = 0; opened < 20; opened++) {
      clients.push(...(await Promise.all(numbers(1, 50).map(() => StreamClient.open(port)))));
    }
    const results = await Promise.all(
      clients.map((client, i) => client.subscribe("room:1", { since: { epoch, offset: i % 100 } })),
    );
    for (const [i, { recovered, publications }] of results.entries()) {
      expect(recovered).toBe(true);
      expect(publications.map(({ offset }) => offset)).toEqual(numbers((i % 100) + 1, 100));
    }
    await publish(board, "room:1", "to all");
    await vi.waitFor(() => {
      for (const { offsets } of clients) expect(offsets).toEqual([101]);
    });
  }, 120_000);
});

describe("a second subscription of a connection", () => {
  it("changes nothing without since, and takes the place of the first with since", async () => {
    const { board, port } = await start();
    const client = await StreamClient.open(port);
    await client.subscribe("room:1");
    const stored = await publish(board, "room:1", "1", "2");
    await vi.waitFor(() => expect(client.offsets).toEqual([1, 2]));
    const again = await client.subscribe("room:1");
    expect(again).toEqual({
      wasRecovering: false,
      recovered: false,
      publications: [],
      position: stored[1]?.position,
    });
    const resumed = await client.subscribe("room:1", { since: stored[0]?.position });
    expect(resumed).toMatchObject({ recovered: true, publications: [{ offset: 2 }] });
    await publish(board, "room:1", "3");
    await vi.waitFor(() => expect(client.offsets).toEqual([1, 2, 3]));
  });

  it("has with since its own options only: another encode, and no user unless it gives one", async () => {
    const { board, port } = await start();
    const client = await StreamClient.open(port);
    await client.subscribe("lounge:1", { user: "ada", info: 1 });
    const [first] = await publish(board, "lounge:1", "1");
    await vi.waitFor(() => expect(client.offsets).toEqual([1]));
    const since = { epoch: first?.position.epoch, offset: 0 };
    // Without encode the client gets each message as it was published.
    await client.tell("subscribe with", "lounge:1", { options: { since } });
    expect(await board.presence("lounge:1")).toMatchObject([{ user: undefined, info: undefined }]);
    const plain = { publication: { epoch: "plain", offset: 0, text: "2" } };
    await publish(board, "lounge:1", JSON.stringify(plain));
    await vi.waitFor(() => expect(client.publications).toHaveLength(2));
    expect(client.publications[1]).toEqual(plain.publication);
    await client.subscribe("lounge:1", { since: "latest", user: "bob" });
    expect(await board.presence("lounge:1")).toMatchObject([{ user: "bob", info: undefined }]);
  });

  it("has with since also what was delivered before and is on its way to the client", async () => {
    const { board, port } = await start();
    const client = await StreamClient.open(port);
    await client.subscribe("room:1");
    client.socket.pause();
    const [first] = await publish(board, "room:1", "1", "2", "3");
    const again = client.subscribe("room:1", { since: { epoch: first?.position.epoch, offset: 1 } });
    client.socket.resume();
    expect((await again).publications.map(({ offset }) => offset)).toEqual([2, 3]);
    expect(client.offsets).toEqual([1, 2, 3]);
  });
});
