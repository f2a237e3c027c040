/**
 * Socket.IO's engine as a server under test: WebSocket transport only, echo only; options as in `options.ts`. It greets
 * each connection with one message.
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
  // A ping is a message to whoever isn't an engine.io client.
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
