import { describe, expect, it, vi } from "vitest";
import { nextText, openPair } from "./servers.ts";

describe("closing", () => {
  it.each([
    [1000, ""],
    [1001, "going away"],
    [3000, "ü".repeat(61)],
    [4999, "x".repeat(123)],
  ])("with %i reaches both ends, whichever begins", async (code, reason) => {
    for (const beginner of ["client", "server"] as const) {
      const pair = await openPair();
      pair[beginner].close(code, reason);
      const expected = { code, reason, wasClean: true };
      expect(await Promise.all([pair.client.closed, pair.server.closed])).toEqual([expected, expected]);
      await vi.waitFor(() => expect(pair.sockets.size).toBe(0));
    }
  });

  it("from both ends at once is clean", async () => {
    const { client, server } = await openPair();
    client.close(4001);
    server.close(4002);
    const [one, other] = await Promise.all([client.closed, server.closed]);
    expect([one.wasClean, other.wasClean]).toEqual([true, true]);
  });

  it("comes after everything that was sent", async () => {
    const { client, server } = await openPair();
    const megabytes = Array.from({ length: 8 }, () => Buffer.alloc(1024 * 1024));
    for (const piece of megabytes) void client.send(piece);
    client.close();
    let received = 0;
    for await (const message of server) received += message.byteLength;
    expect(received).toBe(8 * 1024 * 1024);
    expect(await client.closed).toMatchObject({ wasClean: true });
  });

  it("keeps earlier messages for the reader, who may come after closeTimeoutMs", async () => {
    const { client, server } = await openPair({ closeTimeoutMs: 10 });
    void client.send("last words");
    client.close();
    await server.closed;
    expect(await nextText(server)).toBe("last words");
    expect(await server.next()).toEqual({ done: true, value: undefined });
  });

  it("needs no reader, whatever the peer has sent", async () => {
    const { client, server } = await openPair({ maxInboxMessages: 1 });
    for (let i = 0; i < 500; i++) void client.send("unread");
    await vi.waitFor(() => expect(server.reading).toBe(false));
    server.close(4000);
    expect(await client.closed).toMatchObject({ code: 4000, wasClean: true });
    expect(await server.closed).toMatchObject({ code: 4000, wasClean: true });
  });

  it("works while the peer's close frame waits behind a full inbox", async () => {
    const { client, server } = await openPair({ maxInboxMessages: 1 });
    for (let i = 0; i < 10; i++) void client.send("unread");
    client.close(4001);
    await vi.waitFor(() => expect(server.reading).toBe(false));
    server.close(4000);
    expect(await server.closed).toMatchObject({ wasClean: true });
  });

  it("twice is harmless, and later sends return closed", async () => {
    const { client, server } = await openPair();
    client.close(4000);
    client.close(4001);
    expect(await client.send("late")).toBe("closed");
    expect(await server.closed).toMatchObject({ code: 4000 });
    expect(await client.next()).toEqual({ done: true, value: undefined });
  });

  it("ends after its timeout when the peer never answers", async () => {
    const { client, server, sockets } = await openPair({ maxInboxMessages: 1 }, { closeTimeoutMs: 50 });
    // A peer that doesn't read sees no close frame.
    for (let i = 0; i < 10; i++) void client.send("unread");
    await vi.waitFor(() => expect(server.reading).toBe(false));
    client.close();
    expect(await client.closed).toMatchObject({ code: 1006, wasClean: false });
    server.destroy();
    await vi.waitFor(() => expect(sockets.size).toBe(0));
  });

  it.each([999, 1004, 1005, 1006, 1015, 2999, 5000, 1000.5])("refuses the code %d", async (code) => {
    const { client } = await openPair();
    expect(() => client.close(code)).toThrow(expect.objectContaining({ code: "ERR_CLOSE_CODE" }));
  });

  it("refuses a reason of 124 bytes", async () => {
    const { client } = await openPair();
    expect(() => client.close(1000, "x".repeat(124))).toThrow(expect.objectContaining({ code: "ERR_CLOSE_REASON" }));
  });

  it("happens at the end of its `using` scope", async () => {
    const { client, server } = await openPair();
    {
      await using socket = client;
      void socket.send("hello");
      expect(await nextText(server)).toBe("hello");
    }
    expect(await server.closed).toMatchObject({ code: 1000, wasClean: true });
  });
});

describe("a connection that is lost", () => {
  it("ends the reader after the messages before, and sets the error", async () => {
    const { client, server } = await openPair();
    await client.send("last words");
    await vi.waitFor(() => expect(client.bufferedBytes).toBe(0));
    expect(await nextText(server)).toBe("last words");
    client.destroy();
    expect(await server.next()).toEqual({ done: true, value: undefined });
    expect(server.error).toMatchObject({ kind: "transport", code: "ERR_CONNECTION_LOST" });
    expect(await server.closed).toEqual({ code: 1006, reason: "", wasClean: false });
    expect(await server.send("late")).toBe("closed");
  });

  it("fails the web stream", async () => {
    const { client, server } = await openPair();
    const reader = server.readable.getReader();
    client.destroy();
    await expect(reader.read()).rejects.toMatchObject({ code: "ERR_CONNECTION_LOST" });
  });

  it("resolves pending sends with closed", async () => {
    const { client, server } = await openPair({ maxInboxMessages: 1 });
    const results = Array.from({ length: 15 }, () => client.send(Buffer.alloc(1024 * 1024)));
    await vi.waitFor(() => expect(server.reading).toBe(false));
    server.destroy();
    expect(await results.at(-1)).toBe("closed");
  });
});
