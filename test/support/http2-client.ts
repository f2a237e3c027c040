/** Sessions and WebSocket clients over HTTP/2, for tests. */
import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from "node:http2";
import { onTestFinished } from "vitest";
import { close, parseServerFrame, type ServerFrame } from "./frames.ts";

/** Opens a session. Waits until the server has announced extended CONNECT. Destroyed when the test ends. */
export async function openSession(url: string, ca?: string): Promise<ClientHttp2Session> {
  const session = connect(url, { ...(ca !== undefined && { ca }) });
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  const [settings] = (await once(session, "remoteSettings")) as [{ enableConnectProtocol?: boolean }];
  if (!settings.enableConnectProtocol) throw new Error("the server doesn't take extended CONNECT");
  return session;
}

/** Requests a WebSocket with valid headers, and with changes to them; undefined removes a header. */
export function ask(
  session: ClientHttp2Session,
  headers: Readonly<Record<string, string | undefined>> = {},
): ClientHttp2Stream {
  const all = {
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":path": "/",
    "sec-websocket-version": "13",
    ...headers,
  };
  const given = Object.entries(all).filter(([, value]) => value !== undefined);
  return session.request(Object.fromEntries(given), { endStream: false });
}

/** An answer that opens no WebSocket, read to its end. */
export async function refusal(stream: ClientHttp2Stream): Promise<{ headers: IncomingHttpHeaders; body: string }> {
  const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
  let body = "";
  for await (const chunk of stream.setEncoding("utf8")) body += chunk;
  return { headers, body };
}

/** A WebSocket client in one stream of a session that writes frames itself. */
export class Http2Client {
  readonly stream: ClientHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  #buffer: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};
  #closed = false;

  constructor(stream: ClientHttp2Stream, headers: IncomingHttpHeaders) {
    this.stream = stream;
    this.headers = headers;
    stream.on("data", (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#wake();
    });
    stream.on("error", () => {});
    stream.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** Opens a WebSocket. Fails if the answer isn't 200. */
  static async open(
    session: ClientHttp2Session,
    headers?: Readonly<Record<string, string | undefined>>,
  ): Promise<Http2Client> {
    const stream = ask(session, headers);
    const [answer] = (await once(stream, "response")) as [IncomingHttpHeaders & IncomingHttpStatusHeader];
    if (answer[":status"] !== 200) throw new Error(`expected 200, got ${answer[":status"]}`);
    return new Http2Client(stream, answer);
  }

  write(bytes: Uint8Array): void {
    this.stream.write(bytes);
  }

  /** The next frame. Fails if the stream ends first. */
  async frame(): Promise<ServerFrame> {
    for (;;) {
      const parsed = parseServerFrame(this.#buffer);
      if (parsed !== undefined) {
        this.#buffer = parsed.rest;
        return parsed.frame;
      }
      if (this.#closed) throw new Error("the stream ended first");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async text(): Promise<string> {
    return (await this.frame()).payload.toString();
  }

  /** The next frame, which must be a close frame. Returns its code. */
  async closeCode(): Promise<number> {
    const { opcode, payload } = await this.frame();
    if (opcode !== 0x8) throw new Error(`expected a close frame, got opcode ${opcode}`);
    return payload.readUInt16BE();
  }

  /** Does the close handshake from the client's side. */
  async close(code = 1000): Promise<void> {
    this.write(close(code));
    await this.closeCode();
    this.stream.end();
    await this.closed();
  }

  async closed(): Promise<void> {
    if (!this.#closed) await once(this.stream, "close");
  }
}
