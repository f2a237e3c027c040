/** `ws` as a server under test, in one thread, with the options of `options.ts`. */
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { serverOptions } from "./options.ts";

const { port, mode, compress, maxPayloadBytes, tls, work } = serverOptions();
const http = tls === undefined ? createServer() : createSecureServer(tls);
const server = new WebSocketServer({
  server: http,
  maxPayload: maxPayloadBytes,
  perMessageDeflate: compress,
});
const topics = new Map<string, Set<WebSocket>>();

server.on("connection", (socket, request) => {
  socket.on("error", () => {});
  if (mode === "echo") {
    socket.on("message", (data, binary) => {
      work?.();
      socket.send(data, { binary });
    });
    return;
  }
  const topic = request.url ?? "/";
  const subscribers = topics.get(topic) ?? new Set();
  topics.set(topic, subscribers.add(socket));
  socket.on("close", () => subscribers.delete(socket));
  socket.on("message", (data, binary) => {
    for (const other of subscribers) if (other !== socket) other.send(data, { binary });
  });
});
http.listen(port, "127.0.0.1", () => console.log(`listening on ${(http.address() as AddressInfo).port}`));
process.once("SIGTERM", () => process.exit(0));
