/** The official JavaScript client over the transports of emulation. */
import { Centrifuge, type Options } from "centrifuge";
import { Centrifuge as ProtobufCentrifuge } from "centrifuge/build/protobuf";
import { EventSource } from "eventsource";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { startServer } from "./server.ts";

/** The part that both builds have in common: their types differ in private members. */
type Client = Pick<Centrifuge, "connect" | "disconnect" | "ready" | "rpc"> & {
  once(event: "connecting" | "disconnected", listener: (context: unknown) => void): unknown;
};

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const clients = [
  { name: "JSON over SSE", transport: "sse", Class: Centrifuge, data: (value: unknown): unknown => value },
  { name: "JSON over an HTTP stream", transport: "http_stream", Class: Centrifuge, data: (value: unknown) => value },
  { name: "Protobuf over an HTTP stream", transport: "http_stream", Class: ProtobufCentrifuge, data: bytes },
] as const;

describe.each(clients)("the official client, $name", ({ transport, Class, data }) => {
  async function start() {
    const server = await startServer();
    const options: Partial<Options> = {
      emulationEndpoint: `${server.url}/emulation`,
      eventsource: EventSource,
      fetch,
      readableStream: ReadableStream,
      minReconnectDelay: 1,
      maxReconnectDelay: 1,
    };
    const client: Client = new Class([{ transport, endpoint: `${server.url}/connection/${transport}` }], options);
    onTestFinished(() => client.disconnect());
    client.connect();
    await client.ready();
    return { ...server, client };
  }

  it("connects, calls, and leaves", async () => {
    const { client, board } = await start();
    const sent = data({ text: "ü 😀", numbers: [1, 2.5] });
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.rpc("echo", sent)));
    for (const answer of answers) expect(answer.data).toEqual(sent);
    expect(board.stats().connections).toBe(1);
    client.disconnect();
    await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  });

  it("gives up after a disconnect for good", async () => {
    const { client } = await start();
    const ended = new Promise((resolve) => client.once("disconnected", resolve));
    void client.rpc("close", data({ code: 3500, reason: "invalid token" })).catch(() => {});
    expect(await ended).toEqual({ code: 3500, reason: "invalid token" });
  });

  it.each([
    [3005, "connection expired", { code: 3005, reason: "connection expired" }],
    [1011, "", { code: 1, reason: "transport closed" }],
  ])("comes back after a close with %i", async (code, reason, event) => {
    const { client, emulation } = await start();
    const lost = new Promise((resolve) => client.once("connecting", resolve));
    void client.rpc("close", data({ code, reason })).catch(() => {});
    expect(await lost).toEqual(event);
    await client.ready();
    expect(emulation.stats().streamsOpened).toBe(2);
    expect((await client.rpc("echo", data("again"))).data).toEqual(data("again"));
  });

  it("comes back after its shard has died", async () => {
    const { client, board } = await start();
    // Heard, so that nothing is printed.
    board.on("shardLost", () => {}).on("handshakeFailed", () => {});
    const lost = new Promise((resolve) => client.once("connecting", resolve));
    void client.rpc("exit", data(0)).catch(() => {});
    await lost;
    await client.ready();
    expect((await client.rpc("echo", data("again"))).data).toEqual(data("again"));
  });
});
