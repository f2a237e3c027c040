import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import type { ListenOptions, Switchboard } from "../../../../src/index.ts";
import { startBoard } from "../../../support/board.ts";
import { selfSigned } from "../../../support/certificate.ts";
import { freePort } from "../../../support/free-port.ts";
import { RawClient } from "../../../support/raw-client.ts";

/** Opens a port without the board. Fails if the port is in use. */
async function bind(port: number): Promise<void> {
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  server.close();
  await once(server, "close");
}

const ways: { name: string; options: Partial<ListenOptions> }[] = [
  { name: "in the main thread", options: { handshake: "main" } },
  { name: "with handshakes in the shards", options: { handshake: "shard" } },
  { name: "in the shards", options: { accept: "shard" } },
  { name: "with TLS", options: { tls: selfSigned() } },
  { name: "on a host that is looked up", options: { handshake: "main", host: "localhost" } },
  { name: "in the shards, on a host that is looked up", options: { accept: "shard", host: "localhost" } },
];

/** Starts a board: with two shards only where each of them listens. */
async function startedBoard({ accept }: Partial<ListenOptions> = {}): Promise<Switchboard> {
  const { board } = await startBoard({ shards: accept === "shard" ? 2 : 1 });
  return board;
}

it.each(ways)("stops listening $name when the board closes meanwhile", async ({ options }) => {
  const board = await startedBoard(options);
  const port = await freePort();
  const listening = board.listen({ port, host: "127.0.0.1", ...options });
  const closing = board.close({ timeoutMs: 0 });
  await expect(listening).rejects.toMatchObject({ code: "ERR_CLOSED" });
  await closing;
  await bind(port);
});

it.each(ways)("stops listening $name when the signal is aborted, and can listen again", async ({ options }) => {
  const board = await startedBoard(options);
  const port = await freePort();
  const aborting = new AbortController();
  const listening = board.listen({ port, host: "127.0.0.1", ...options, signal: aborting.signal });
  aborting.abort("no");
  await expect(listening).rejects.toMatchObject({ code: "ERR_ABORTED", cause: "no" });
  await expect(board.listen({ port, host: "127.0.0.1", ...options })).resolves.toMatchObject({ port });
});

it.each(ways)("doesn't listen $name with a signal that was already aborted", async ({ options }) => {
  const board = await startedBoard(options);
  const port = await freePort();
  const listening = board.listen({ port, host: "127.0.0.1", ...options, signal: AbortSignal.abort() });
  await expect(listening).rejects.toMatchObject({ code: "ERR_ABORTED", cause: { name: "AbortError" } });
  await bind(port);
});

it("continues to listen when the signal is aborted later", async () => {
  const aborting = new AbortController();
  const { port } = await startBoard({ attach: { signal: aborting.signal } });
  aborting.abort();
  await RawClient.open({ port });
});

it("rejects with the error of a port that is in use, and can listen on another port", async () => {
  const board = await startedBoard();
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  for (const { options } of ways.slice(0, 4)) {
    await expect(board.listen({ port, host: "127.0.0.1", ...options })).rejects.toMatchObject({ code: "EADDRINUSE" });
  }
  await board.listen({ port: 0, host: "127.0.0.1" });
});

it.each(ways)(
  "refuses to listen $name while the board is closing, even before its ports close",
  async ({ options }) => {
    const board = await startedBoard();
    const closing = board.close({ readinessDelayMs: 50, timeoutMs: 0 });
    await expect(board.listen({ port: 0, ...options })).rejects.toMatchObject({ code: "ERR_CLOSED" });
    expect(await board.close()).toBe(await closing);
  },
);

it("refuses to attach and to replace certificates while the board is closing", async () => {
  const { board, port } = await startBoard({ attach: { tls: selfSigned() } });
  const closing = board.close({ timeoutMs: 0 });
  const closed = expect.objectContaining({ code: "ERR_CLOSED" });
  expect(() => board.attach(createHttpServer())).toThrow(closed);
  expect(() => board.updateTls(port, selfSigned())).toThrow(closed);
  await closing;
});
