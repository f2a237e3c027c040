import { once } from "node:events";
import { createServer, IncomingMessage } from "node:http";
import { type AddressInfo, Socket } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import type { AttachOptions, Switchboard } from "../../../../src/index.ts";
import { startBoard } from "../../../support/board.ts";
import { close, text } from "../../../support/frames.ts";
import { RawClient, upgradeRequest } from "../../../support/raw-client.ts";
import { openMemoryStreams } from "../../../support/streams.ts";

/** A server whose own code passes upgrades to the board. */
async function startServer(board: Switchboard, options?: AttachOptions): Promise<number> {
  const server = createServer();
  server.on("upgrade", (request, socket, head) => board.handleUpgrade(request, socket, head, options));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

it("serves an upgrade, with the bytes right behind it", async () => {
  const { board } = await startBoard();
  const port = await startServer(board);
  const client = await RawClient.open({ port, head: text("early") });
  expect(await client.text()).toBe("early");
  await client.close();
  expect(board.stats().upgrades).toMatchObject({ accepted: 1 });
});

it("applies path parameters and authorize, and answers 404 on other paths", async () => {
  const { board } = await startBoard({ actor: "scripted" });
  const authorize = async () => ({ session: { user: "ada" } });
  const port = await startServer(board, { path: "/chat/:room", authorize });
  const client = await RawClient.open({ port, path: "/chat/blue" });
  client.write(text('{"do":"who"}'));
  expect(JSON.parse(await client.text())).toMatchObject({ params: { room: "blue" }, session: { user: "ada" } });
  const other = await RawClient.connect(port);
  other.write(upgradeRequest({ path: "/elsewhere" }));
  expect((await other.response()).status).toBe(404);
  await other.closed();
});

it("serves a stream that isn't a socket", async () => {
  const { board } = await startBoard();
  const { accepted, peer } = await openMemoryStreams();
  const server = createServer().on("upgrade", (request, socket, head) => board.handleUpgrade(request, socket, head));
  server.emit("connection", accepted);
  peer.write(Buffer.concat([Buffer.from(upgradeRequest()), text("early")]));
  let got = "";
  peer.setEncoding("latin1").on("data", (chunk: string) => {
    got += chunk;
    if (got.endsWith("early")) peer.write(close(1000));
  });
  await once(peer, "end");
  peer.end();
  expect(got).toMatch(/^HTTP\/1\.1 101 /);
  expect(got.slice(got.indexOf("\r\n\r\n") + 4)).toBe("\x81\x05early\x88\x02\x03\xe8");
  if (!accepted.closed) await once(accepted, "close");
  expect(board.stats().upgrades).toMatchObject({ accepted: 1, failed: 0 });
});

it("throws for invalid options, at every call", async () => {
  const { board } = await startBoard();
  const { accepted } = await openMemoryStreams();
  const options = { path: "chat" };
  const call = () => board.handleUpgrade(new IncomingMessage(new Socket()), accepted, Buffer.alloc(0), options);
  for (let i = 0; i < 2; i++) expect(call).toThrow(/handleUpgrade: path takes a path pattern/);
});

it("answers 503 once the board is closed", async () => {
  const { board } = await startBoard();
  const port = await startServer(board);
  await board.close({ timeoutMs: 0 });
  const client = await RawClient.connect(port);
  client.write(upgradeRequest());
  expect((await client.response()).status).toBe(503);
});
