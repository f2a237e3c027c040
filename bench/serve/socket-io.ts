/**
 * Socket.IO as a server under test: a socket joins the room that it names with the event `join`, and publishes to a
 * room with the event `publish`. Needs `npm install --no-save socket.io`. Prints `listening on PORT`.
 */
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";

/** The calls of Socket.IO that this file makes. */
interface IoSocket {
  join(room: string): void;
  on(event: string, listener: (...values: readonly never[]) => void): void;
  to(room: string): { emit(event: string, data: unknown): void };
}
interface Io {
  on(event: "connection", listener: (socket: IoSocket) => void): void;
}

const { Server } = createRequire(import.meta.url)("socket.io") as {
  readonly Server: new (http: unknown, options: object) => Io;
};
const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false, pingInterval: 3_600_000 });
io.on("connection", (socket) => {
  socket.on("join", (room: string, done: () => void) => {
    socket.join(room);
    done();
  });
  socket.on("publish", (room: string, data: unknown) => socket.to(room).emit("publication", data));
});
http.listen(0, "127.0.0.1", () => console.log(`listening on ${(http.address() as AddressInfo).port}`));
process.once("SIGTERM", () => process.exit(0));
