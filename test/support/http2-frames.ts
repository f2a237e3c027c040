/** HTTP/2 frames built by hand, for peers that no client library would imitate. Source: RFC 9113 section 4.1. */

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

const DATA = 0x0;
const HEADERS = 0x1;
const RST_STREAM = 0x3;
const SETTINGS = 0x4;

const END_HEADERS = 0x4;

/** Identifiers of settings. */
export const INITIAL_WINDOW_SIZE = 0x4;

export interface Http2Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export const frameTypes = { data: DATA, headers: HEADERS, reset: RST_STREAM, settings: SETTINGS, goaway: 0x7 } as const;

function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function settings(values: Readonly<Record<number, number>> = {}): Buffer {
  const entries = Object.entries(values).map(([id, value]) => {
    const entry = Buffer.alloc(6);
    entry.writeUInt16BE(Number(id));
    entry.writeUInt32BE(value, 2);
    return entry;
  });
  return frame(SETTINGS, 0, 0, Buffer.concat(entries));
}

export const settingsAck = (): Buffer => frame(SETTINGS, 0x1, 0);

export function resetStream(stream: number, code = 0x8): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code);
  return frame(RST_STREAM, 0, stream, payload);
}

export const data = (stream: number, bytes: Uint8Array): Buffer => frame(DATA, 0, stream, bytes);

/** A request for a WebSocket. Source: RFC 8441 section 5. */
export function extendedConnect(stream: number): Buffer {
  const fields = {
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":scheme": "http",
    ":path": "/",
    ":authority": "localhost",
    "sec-websocket-version": "13",
  };
  return frame(HEADERS, END_HEADERS, stream, Buffer.concat(Object.entries(fields).flatMap(literal)));
}

/** A header field without indexing or compression. Source: RFC 7541 section 6.2.2. */
function literal([name, value]: [string, string]): Buffer[] {
  return [Buffer.from([0x00, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)];
}

/** Splits the first complete frame off the bytes of a server. */
export function parseHttp2Frame(bytes: Buffer): { frame: Http2Frame; rest: Buffer } | undefined {
  if (bytes.length < 9) return undefined;
  const end = 9 + bytes.readUIntBE(0, 3);
  if (bytes.length < end) return undefined;
  const [type, flags] = [bytes[3] as number, bytes[4] as number];
  return {
    frame: { type, flags, stream: bytes.readUInt32BE(5) & 0x7fff_ffff, payload: bytes.subarray(9, end) },
    rest: bytes.subarray(end),
  };
}
