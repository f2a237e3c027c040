/** `ws` as a server under test; takes the same options as ours, and runs in one thread. */
import { parseArgs } from "node:util";
import { WebSocketServer } from "ws";

const { values } = parseArgs({
  strict: false,
  options: {
    port: { type: "string", default: "9001" },
    mode: { type: "string", default: "echo" },
    "max-payload": { type: "string", default: String(1024 * 1024) },
  },
});
const server = new WebSocketServer({
  port: Number(values.port),
  host: "127.0.0.1",
  maxPayload: Number(values["max-payload"]),
});
server.on("listening", () => {
  const address = server.address();
  console.log(`listening on ${typeof address === "object" && address !== null ? address.port : values.port}`);
});
server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data, binary) => {
    if (values.mode === "echo") return socket.send(data, { binary });
    for (const other of server.clients) if (other !== socket) other.send(data, { binary });
  });
});
process.once("SIGTERM", () => process.exit(0));
