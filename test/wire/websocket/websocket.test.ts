import { describe, expect, it, vi } from "vitest";
import { echo, nextText, openPair } from "./servers.ts";

const sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 1024 * 1024];
const pattern = (size: number): Buffer => Buffer.from(Array.from({ length: size }, (_, i) => (i * 31) % 251));

describe("messages", () => {
  it.each(sizes)("of %i bytes go both ways unchanged", async (size) => {
    const { client, server } = await openPair();
    void echo(server);
    await client.send(pattern(size));
    const { value } = await client.next();
    expect(value?.type).toBe("binary");
    expect(value?.bytes.equals(pattern(size))).toBe(true);
  });

  it("of text go both ways as text", async () => {
    const { client, server } = await openPair();
    void echo(server);
    await client.send("aß水🎈");
    const { value } = await client.next();
    expect([value?.type, value?.text]).toEqual(["text", "aß水🎈"]);
  });

  it("keep their order when 10,000 are sent at once", async () => {
    const { client, server } = await openPair();
    const sent = Array.from({ length: 10_000 }, (_, i) => `${i}`);
    for (const text of sent) void client.send(text);
    client.close();
    const received: string[] = [];
    for await (const message of server) received.push(message.text);
    expect(received).toEqual(sent);
  });

  it("go on after a loop over them was left", async () => {
    const { client, server } = await openPair();
    for (const text of ["one", "two", "three"]) void client.send(text);
    for await (const message of server) {
      expect(message.text).toBe("one");
      break;
    }
    expect([await nextText(server), await nextText(server)]).toEqual(["two", "three"]);
  });

  it("that can't be sent throw at once", async () => {
    const { client } = await openPair();
    expect(() => client.send(42 as unknown as string)).toThrow(expect.objectContaining({ code: "ERR_DATA" }));
  });
});

describe("backpressure", () => {
  it("stops a peer whose reader stops, and resumes with the reader", async () => {
    const { client, server } = await openPair({ maxInboxMessages: 4 });
    const piece = Buffer.alloc(64 * 1024);
    let sent = 0;
    let stuck: Promise<unknown> | undefined;
    // Until a send stays pending however long the event loop runs: nobody reads.
    while (stuck === undefined) {
      const sending = client.send(piece);
      sent++;
      const turns = async (): Promise<"stuck"> => {
        for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
        return "stuck";
      };
      if ((await Promise.race([sending, turns()])) === "stuck") stuck = sending;
    }
    expect(client.bufferedBytes).toBeGreaterThan(0);
    expect(client.bufferedBytes).toBeLessThan(512 * 1024);

    for (let received = 0; received < sent; received++) await server.next();
    expect(await stuck).toBe("sent");
    await vi.waitFor(() => expect(client.bufferedBytes).toBe(0));
  });

  it("refuses messages beyond the limit when the sender doesn't wait", async () => {
    const { client, server } = await openPair({ maxInboxMessages: 1 }, { maxBufferedBytes: 1_000_000 });
    const results = Array.from({ length: 3 }, () => client.send(Buffer.alloc(600_000)));
    expect(await results[2]).toBe("dropped");
    for (let received = 0; received < 2; received++) expect((await server.next()).value?.byteLength).toBe(600_000);
    expect(await Promise.all(results)).toEqual(["sent", "sent", "dropped"]);
  });

  it("applies to the web streams, too", async () => {
    const { client, server } = await openPair({ maxInboxMessages: 1 });
    const writer = client.writable.getWriter();
    let written = 0;
    const total = 400;
    const writing = (async () => {
      for (; written < total; written++) await writer.write(Buffer.alloc(64 * 1024));
    })();
    for (let turn = 0; turn < 2_000; turn++) await new Promise(setImmediate);
    expect(written).toBeLessThan(total);
    const reader = server.readable.getReader();
    for (let received = 0; received < total; received++) await reader.read();
    await writing;
    expect(written).toBe(total);
  });
});

describe("web streams", () => {
  it("echo by a pipe, and end it with the close of the peer", async () => {
    const { client, server } = await openPair();
    const piping = server.readable.pipeTo(server.writable);
    await client.send("hello");
    expect(await nextText(client)).toBe("hello");
    client.close(1000, "done");
    await piping;
    expect(await server.closed).toEqual({ code: 1000, reason: "done", wasClean: true });
  });

  it("close the WebSocket when they are closed, cancelled or aborted", async () => {
    for (const [end, code] of [
      [(pair: Awaited<ReturnType<typeof openPair>>) => pair.client.writable.close(), 1000],
      [(pair: Awaited<ReturnType<typeof openPair>>) => pair.client.readable.cancel(), 1000],
      [(pair: Awaited<ReturnType<typeof openPair>>) => pair.client.writable.abort(), 1011],
    ] as const) {
      const pair = await openPair();
      await end(pair);
      expect(await pair.server.closed).toMatchObject({ code, wasClean: true });
      expect(await pair.client.closed).toMatchObject({ code, wasClean: true });
    }
  });

  it("fail a write after the peer has closed", async () => {
    const { client, server } = await openPair();
    const writer = client.writable.getWriter();
    writer.closed.catch(() => {});
    server.close();
    await client.closed;
    await expect(writer.write("late")).rejects.toMatchObject({ code: "ERR_CLOSED" });
  });
});

describe("pings", () => {
  it("resolve with the round-trip time, both ways", async () => {
    const { client, server } = await openPair();
    for (const socket of [client, server]) expect(await socket.ping()).toBeGreaterThan(0);
  });

  it("are answered one by one, also between messages that nobody reads yet", async () => {
    const { client } = await openPair();
    void client.send("unread");
    const times = await Promise.all(Array.from({ length: 20 }, () => client.ping()));
    expect(times).toHaveLength(20);
  });

  it("are at most 128 at a time", async () => {
    const { client } = await openPair();
    const pings = Array.from({ length: 129 }, () => client.ping());
    await expect(pings[128]).rejects.toMatchObject({ kind: "capacity", code: "ERR_TOO_MANY_PINGS" });
    await Promise.all(pings.slice(0, 128));
  });

  it("fail when the connection ends first, without an unhandled rejection when nobody looks", async () => {
    const { client, server } = await openPair();
    const ping = client.ping();
    void client.ping();
    server.destroy();
    await client.closed;
    await expect(ping).rejects.toMatchObject({ code: "ERR_CLOSED" });
    await expect(client.ping()).rejects.toMatchObject({ code: "ERR_CLOSED" });
  });
});
