import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocketServer, WebSocket as WsWebSocket } from "ws";
import { connect } from "../../src/wire/websocket/index.ts";
import { echo, nextText, startSocketServer } from "../wire/websocket/servers.ts";
import { Peer, type StandardSocketClass } from "./support/peer.ts";
import { projectFolder, RunningProgram, run } from "./support/process.ts";
import { isMissing, succeeds } from "./support/programs.ts";

const MEBIBYTE = 1024 * 1024;
const PYTHON = "/usr/bin/python3";
const script = fileURLToPath(new URL("./python-peer.py", import.meta.url));
const noPython = isMissing(
  "python3-websockets",
  succeeds(PYTHON, "-c", "import websockets"),
  "apt-get install python3-websockets",
);

const pattern = (size: number): Buffer => Buffer.from(Array.from({ length: size }, (_, i) => (i * 31) % 251));

/** A server of ws that behaves like the one in python-peer.py. */
async function serveWithWs(): Promise<number> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => "v2.chat" });
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  server.on("connection", (socket) => {
    socket.on("message", (data, binary) => {
      const text = String(data);
      if (text === "close") return socket.close(4002, "because");
      if (text === "ping") {
        socket.once("pong", () => socket.send("pinged"));
        return socket.ping("are you there");
      }
      if (text !== "fragments") return socket.send(data, { binary });
      for (const piece of ["in ", "three "]) socket.send(piece, { fin: false });
      socket.send("pieces");
    });
  });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function serveWithPython(): Promise<number> {
  const server = new RunningProgram(PYTHON, [script, "serve"]);
  onTestFinished(() => server.destroy());
  const [, port] = await server.prints(/listening on (\d+)/);
  return Number(port);
}

describe.each([
  { name: "ws", serve: serveWithWs, missing: false },
  { name: "python3-websockets", serve: serveWithPython, missing: noPython },
])("our client with a server of $name", ({ serve, missing }) => {
  it.skipIf(missing)("exchanges text, bytes, fragments and pings, and is closed with the server's code", async () => {
    const client = await connect(`ws://127.0.0.1:${await serve()}/`, {
      protocols: ["v3.chat", "v2.chat"],
      proxy: false,
    });
    expect(client.protocol).toBe("v2.chat");
    for (const text of ["aß水🎈", "", "x".repeat(MEBIBYTE)]) {
      await client.send(text);
      expect(await nextText(client)).toBe(text);
    }
    for (const size of [0, 1, 125, 126, 65_535, 65_536, MEBIBYTE]) {
      await client.send(pattern(size));
      expect((await client.next()).value?.bytes.equals(pattern(size))).toBe(true);
    }
    await client.send("fragments");
    expect(await nextText(client)).toBe("in three pieces");
    expect(await client.ping()).toBeGreaterThan(0);
    await client.send("ping");
    expect(await nextText(client)).toBe("pinged");
    await client.send("close");
    expect(await client.next()).toMatchObject({ done: true });
    expect(await client.closed).toEqual({ code: 4002, reason: "because", wasClean: true });
  });

  it.skipIf(missing)("closes with a code of its own", async () => {
    const client = await connect(`ws://127.0.0.1:${await serve()}/`, { proxy: false });
    client.close(4001, "enough");
    expect(await client.closed).toEqual({ code: 4001, reason: "enough", wasClean: true });
  });
});

describe.each([
  { name: "ws", socketClass: WsWebSocket as unknown as StandardSocketClass },
  { name: "Node", socketClass: WebSocket as unknown as StandardSocketClass },
])("the client of $name with our server", ({ socketClass }) => {
  it("exchanges text and bytes, agrees on a subprotocol, and closes with a code of its own", async () => {
    const { port, nextSocket } = await startSocketServer({ protocols: ["v2.chat"] });
    const peer = await Peer.open(socketClass, `ws://127.0.0.1:${port}/`, ["v3.chat", "v2.chat"]);
    expect(peer.socket.protocol).toBe("v2.chat");
    const server = await nextSocket();
    void echo(server);
    for (const sent of ["aß水🎈", "x".repeat(MEBIBYTE), pattern(0), pattern(126), pattern(65_536)]) {
      peer.send(sent);
      expect(await peer.next()).toEqual(sent);
    }
    expect(await server.ping()).toBeGreaterThan(0);
    expect(await peer.close(4001, "enough")).toEqual({ code: 4001, reason: "enough", wasClean: true });
    expect(await server.closed).toEqual({ code: 4001, reason: "enough", wasClean: true });
  });

  it("gets the code of a server that closes, and 1009 for a message that is too long", async () => {
    const { port, nextSocket } = await startSocketServer({ maxPayloadBytes: 1000 });
    const peer = await Peer.open(socketClass, `ws://127.0.0.1:${port}/`);
    (await nextSocket()).close(4002, "because");
    expect(await peer.closed).toEqual({ code: 4002, reason: "because", wasClean: true });

    const other = await Peer.open(socketClass, `ws://127.0.0.1:${port}/`);
    other.send(pattern(1001));
    expect(await other.closed).toMatchObject({ code: 1009 });
    expect(await (await nextSocket()).closed).toMatchObject({ code: 1009, wasClean: false });
  });
});

it.skipIf(noPython)(
  "the client of python3-websockets exchanges text, bytes, fragments and pings with our server",
  async () => {
    const { port, nextSocket } = await startSocketServer({ protocols: ["v2.chat"] });
    const running = run(PYTHON, [script, "client", `ws://127.0.0.1:${port}/`]);
    const server = await nextSocket();
    await echo(server);
    expect(JSON.parse((await running).stdout)).toEqual({
      protocol: "v2.chat",
      text: "aß水🎈",
      bytes: MEBIBYTE,
      fragments: "in three pieces",
      close: [4001, "enough"],
    });
    expect(await server.closed).toEqual({ code: 4001, reason: "enough", wasClean: true });
  },
);

it("the echo client of the benchmarks echoes messages of a ws server, and exits with 0 when that server closes", async () => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  onTestFinished(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const connection = once(server, "connection") as Promise<[WsWebSocket]>;
  const exit = run(process.execPath, ["bench/targets/echo-client.ts", `ws://127.0.0.1:${port}/`], {
    cwd: projectFolder,
  });
  const [socket] = await connection;
  for (const sent of [pattern(16 * MEBIBYTE), Buffer.from("text")]) {
    socket.send(sent);
    const [received] = (await once(socket, "message")) as [Buffer];
    expect(received.equals(sent)).toBe(true);
  }
  socket.close(1000);
  expect(await exit).toMatchObject({ code: 0, stdout: "", stderr: "" });
});
