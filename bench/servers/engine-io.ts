/**
 * Socket.IO's engine as a server under test: only the WebSocket transport, only echo, with the options of `options.ts`.
 * The server sends one message first on each connection.
 */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { attach } from "engine.io";
import { serverOptions } from "./options.ts";

const { port, maxPayloadBytes } = serverOptions();
const http = createServer();
const engine = attach(http, {
  transports: ["websocket"],
  maxHttpBufferSize: maxPayloadBytes,
  // The load would take a ping for a reply, because engine.io sends pings as messages.
  pingInterval: 3_600_000,
});
engine.on(
  "connection",
  (socket: { on(event: "message", listener: (data: Buffer) => void): void; send(data: Buffer): void }) => {
    socket.on("message", (data) => socket.send(data));
  },
);
http.listen(port, "127.0.0.1", () => console.log(`listening on ${(http.address() as AddressInfo).port}`));
process.once("SIGTERM", () => process.exit(0));
