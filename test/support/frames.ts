/** Client frames built by hand, independently of the code under test. */

const KEY = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

export interface FrameOptions {
  readonly fin?: boolean;
  readonly rsv?: number;
  readonly masked?: boolean;
  readonly key?: Buffer;
  /** Length field to write instead of the minimal one: 7, 16 or 64 bits. */
  readonly lengthBits?: 7 | 16 | 64;
}

/** One frame as a client sends it. Default: masked, final and with the shortest length field. */
export function clientFrame(opcode: number, payload: Uint8Array | string = "", options: FrameOptions = {}): Buffer {
  const { fin = true, rsv = 0, masked = true, key = KEY } = options;
  const body = Buffer.from(payload as string);
  const bits = options.lengthBits ?? (body.length < 126 ? 7 : body.length < 65_536 ? 16 : 64);
  const head = Buffer.alloc(bits === 7 ? 2 : bits === 16 ? 4 : 10);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (masked ? 0x80 : 0) | (bits === 7 ? body.length : bits === 16 ? 126 : 127);
  if (bits === 16) head.writeUInt16BE(body.length, 2);
  if (bits === 64) head.writeBigUInt64BE(BigInt(body.length), 2);
  if (!masked) return Buffer.concat([head, body]);
  const frame = Buffer.concat([head, key, body]);
  // A plain loop is fast enough: conformance cases mask hundreds of megabytes.
  const start = head.length + 4;
  for (let i = 0; i < body.length; i++) frame[start + i] = (body[i] as number) ^ (key[i & 3] as number);
  return frame;
}

export const text = (payload: string, options?: FrameOptions): Buffer => clientFrame(0x1, payload, options);
export const binary = (payload: Uint8Array, options?: FrameOptions): Buffer => clientFrame(0x2, payload, options);
export const continuation = (payload: Uint8Array | string, options?: FrameOptions): Buffer =>
  clientFrame(0x0, payload, options);
export const ping = (payload: Uint8Array | string = "", options?: FrameOptions): Buffer =>
  clientFrame(0x9, payload, options);
export const pong = (payload: Uint8Array | string = "", options?: FrameOptions): Buffer =>
  clientFrame(0xa, payload, options);

export function close(code?: number, reason = "", options?: FrameOptions): Buffer {
  if (code === undefined) return clientFrame(0x8, "", options);
  return clientFrame(0x8, Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]), options);
}

/** A frame as a server sent it. */
export interface ServerFrame {
  readonly fin: boolean;
  readonly opcode: number;
  readonly payload: Buffer;
}

/** Reads one unmasked frame from the front of `bytes`; undefined if it isn't complete. */
export function parseServerFrame(bytes: Buffer): { frame: ServerFrame; rest: Buffer } | undefined {
  if (bytes.length < 2) return undefined;
  let length = bytes.readUInt8(1);
  if ((length & 0x80) !== 0) throw new Error("a server's frame is masked");
  let at = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    length = Number(bytes.readBigUInt64BE(2));
    at = 10;
  }
  if (bytes.length < at + length) return undefined;
  const first = bytes.readUInt8(0);
  const frame = { fin: (first & 0x80) !== 0, opcode: first & 0x7f, payload: bytes.subarray(at, at + length) };
  return { frame, rest: bytes.subarray(at + length) };
}
