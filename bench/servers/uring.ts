/**
 * A low cost for a server over our transport of io_uring: about what Switchboard would take if nothing lay above it.
 * The server accepts any handshake, and returns each frame unmasked, in the memory of the received chunk; in the mode
 * "fanout" it sends the frames to all other connections, of whatever path. It checks nothing, ends a connection after a
 * close frame, and runs in the main thread.
 *
 * It keeps no copy of what it sends, so a peer that reads slowly may get wrong bytes. A load always reads its replies,
 * and checks them.
 *
 * Options: `--port P [--mode echo|fanout]`.
 */
import { type AddressInfo, createServer } from "node:net";
import { acceptKey } from "../../src/wire/handshake/accept-key.ts";
import { createEstateMemory } from "../../src/wire/native/ring.ts";
import { readKey, unmaskInPlace } from "../../src/wire/protocol/masking/mask.ts";
import type { LentMemory } from "../../src/wire/protocol/message.ts";
import { Opcode } from "../../src/wire/protocol/opcode.ts";
import type { Transport, TransportReceiver } from "../../src/wire/transport/transport.ts";
import { UringSockets } from "../../src/wire/transport/uring/uring-sockets.ts";
import { serverOptions } from "./options.ts";

const { port, mode } = serverOptions();
const KEY_BYTES = 4;
/** Shortest payload that vectors unmask, in bytes. */
const LONG_BYTES = 64;

const peers = new Set<Peer>();

/** One connection, which joins the others when it is upgraded. */
class Peer implements TransportReceiver {
  readonly #transport: Transport;
  /** Start of a frame whose end hasn't arrived. */
  #rest: Buffer | undefined;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  received(chunk: Buffer, memory?: LentMemory): void {
    if (!peers.has(this)) {
      this.#upgrade(chunk.toString("latin1"));
      return;
    }
    const lent = this.#rest === undefined ? memory : undefined;
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    const { read, written, isLast } = unmaskFrames(bytes);
    this.#rest = read < bytes.length ? Buffer.from(bytes.subarray(read)) : undefined;
    if (written === 0) return;
    const frames = (lent?.block ?? bytes).subarray(KEY_BYTES, KEY_BYTES + written);
    if (mode === "echo" || isLast) this.#transport.write(frames, lent);
    else for (const peer of peers) if (peer !== this) peer.#transport.write(frames);
    if (isLast) this.#transport.end();
  }

  #upgrade(request: string): void {
    const key = /sec-websocket-key: *(\S+)/i.exec(request)?.[1] ?? "";
    const answer = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(key)}\r\n\r\n`;
    this.#transport.write(Buffer.from(answer));
    peers.add(this);
  }

  drained(): void {}

  ended(): void {
    this.#transport.end();
  }

  closed(): void {
    peers.delete(this);
  }
}

/**
 * Unmasks all whole frames, and moves them together: behind the first four bytes, where the payload of the first frame
 * stays where it is. Returns the number of bytes that were read, that of the frames without their keys, and whether a
 * close frame is among them.
 */
function unmaskFrames(bytes: Buffer): { readonly read: number; readonly written: number; readonly isLast: boolean } {
  let isLast = false;
  let [read, written] = [0, 0];
  while (read + 2 <= bytes.length) {
    const short = (bytes[read + 1] as number) & 0x7f;
    const headerBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
    const payload = read + headerBytes + KEY_BYTES;
    if (payload > bytes.length) break;
    const lengthBytes = Math.min(headerBytes - 2, 6);
    const length = lengthBytes === 0 ? short : bytes.readUIntBE(read + headerBytes - lengthBytes, lengthBytes);
    if (payload + length > bytes.length) break;
    isLast ||= ((bytes[read] as number) & 0xf) === Opcode.close;
    unmask(bytes, payload, length);
    (bytes[read + 1] as number) &= 0x7f;
    bytes.copyWithin(payload - headerBytes, read, read + headerBytes);
    if (written > 0) bytes.copyWithin(KEY_BYTES + written, payload - headerBytes, payload + length);
    written += headerBytes + length;
    read = payload + length;
  }
  return { read, written, isLast };
}

function unmask(bytes: Buffer, payload: number, length: number): void {
  if (length >= LONG_BYTES) unmaskInPlace(bytes, payload, length, readKey(bytes, payload - KEY_BYTES));
  else
    for (let i = 0; i < length; i++) (bytes[payload + i] as number) ^= bytes[payload - KEY_BYTES + (i & 3)] as number;
}

const server = createServer();
const sockets = new UringSockets(createEstateMemory());
server.listen(port, "127.0.0.1", 4096, () => {
  const { port: bound } = server.address() as AddressInfo;
  const failed = (error: Error): void => console.error(error.message);
  sockets.accept(server, (transport) => transport.start(new Peer(transport)), failed);
  console.log(`listening on ${bound}`);
});
// Nothing of the transport keeps the process alive.
setInterval(() => {}, 2 ** 30);
process.once("SIGTERM", () => process.exit(0));
