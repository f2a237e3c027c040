/**
 * The lowest cost for a server over `node:net`: an echo with the least of WebSocket that a client accepts. The server
 * accepts any handshake, and returns each frame unmasked, in the memory of the received chunk. It checks nothing, and
 * supports messages of less than 64 KiB in one frame. Options: `--port P`.
 */
import { createHash } from "node:crypto";
import { type AddressInfo, createServer } from "node:net";
import { serverOptions } from "./options.ts";

const { port } = serverOptions();
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const server = createServer({ noDelay: true }, (socket) => {
  /** Start of a frame whose end hasn't arrived. */
  let rest: Buffer | undefined;
  socket.on("error", () => {});
  socket.once("data", (request) => {
    const key = /sec-websocket-key: *(\S+)/i.exec(request.toString("latin1"))?.[1] ?? "";
    const accept = createHash("sha1")
      .update(key + GUID)
      .digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.on("data", (chunk: Buffer) => {
      const bytes = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
      let [read, written] = [0, 0];
      while (read + 8 <= bytes.length) {
        const short = (bytes[read + 1] as number) & 0x7f;
        const headerBytes = short < 126 ? 2 : 4;
        const payload = read + headerBytes + 4;
        const length = short < 126 ? short : bytes.readUInt16BE(read + 2);
        if (payload + length > bytes.length) break;
        for (let i = 0; i < length; i++) (bytes[payload + i] as number) ^= bytes[payload - 4 + (i & 3)] as number;
        (bytes[read + 1] as number) &= 0x7f;
        bytes.copyWithin(written, read, read + headerBytes);
        bytes.copyWithin(written + headerBytes, payload, payload + length);
        read = payload + length;
        written += headerBytes + length;
      }
      rest = read < bytes.length ? Buffer.from(bytes.subarray(read)) : undefined;
      if (written > 0) socket.write(bytes.subarray(0, written));
    });
  });
});
server.listen(port, "127.0.0.1", () => console.log(`listening on ${(server.address() as AddressInfo).port}`));
process.once("SIGTERM", () => process.exit(0));
