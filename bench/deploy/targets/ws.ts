/** `ws` as the server of the scenario `deploy`. At SIGTERM it tells all clients to come back, and ends. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";

const SERVICE_RESTART = 1012;
/** Time for the close handshakes, in ms. */
const CLOSE_TIMEOUT_MS = 1_000;

const [port = "0", reusePort] = process.argv.slice(2);
const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data, binary) => socket.send(data, { binary }));
});
// With `reusePort` the next process listens before this one closes.
http.listen({ port: Number(port), host: "127.0.0.1", reusePort: reusePort === "--reuse-port" }, () => {
  console.log(`listening on ${(http.address() as AddressInfo).port}`);
});
process.once("SIGTERM", () => {
  http.close(() => process.exit(0));
  for (const socket of server.clients) socket.close(SERVICE_RESTART);
  setTimeout(() => process.exit(0), CLOSE_TIMEOUT_MS);
});
