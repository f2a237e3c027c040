/** Requests and responses of HTTP/1.1 and HTTP/2 as emulation uses them, and how it answers. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { builtins } from "../../wire/node-internals/builtins.ts";

export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;

/** The calls that responses of both versions have in common. */
interface Writing {
  writeHead(status: number, headers: OutgoingHttpHeaders): unknown;
  write(chunk: string | Uint8Array): boolean;
  end(): unknown;
  once(event: "drain" | "close", listener: () => void): unknown;
  off(event: "drain" | "close", listener: () => void): unknown;
}

/** An answer without a stream. */
export interface Answer {
  readonly status: number;
  readonly headers?: OutgoingHttpHeaders;
  /** Text. Default: the status in words. */
  readonly body?: string;
}

/** Time that a client has to read an answer while the rest of its body is dropped, in milliseconds. */
const LINGER_MS = 1_000;

/** Answers a request whose body was read, or is short enough to be dropped. */
export function answer(response: HttpResponse, { status, headers = {}, body }: Answer): void {
  if (response.headersSent || isGone(response)) return;
  const writing: Writing = response;
  if (status === 204) {
    writing.writeHead(status, headers);
    writing.end();
    return;
  }
  const text = textOf(status, body);
  writing.writeHead(status, { ...headers, ...textHeaders(text) });
  writing.write(text);
  writing.end();
}

/**
 * Answers a request of which more may come than anybody wants to read. Drops input for a second: a connection that is
 * closed with unread input is reset, and the client may lose the answer.
 */
export function answerUnread(
  request: HttpRequest,
  response: HttpResponse,
  { status, headers = {}, body }: Answer,
): void {
  if (response.headersSent || isGone(response)) return;
  const writing: Writing = response;
  const text = textOf(status, body);
  const close = request.httpVersionMajor === 1 ? { Connection: "close" } : {};
  writing.writeHead(status, { ...headers, ...textHeaders(text), ...close });
  writing.write(text);
  const timer = setTimeout(end, LINGER_MS);
  function end(): void {
    clearTimeout(timer);
    request.off("end", end).off("close", end);
    writing.end();
  }
  request.once("end", end).once("close", end);
  request.resume();
}

function textOf(status: number, body = builtins.http.STATUS_CODES[status] ?? String(status)): string {
  return body.endsWith("\n") ? body : `${body}\n`;
}

function textHeaders(text: string): OutgoingHttpHeaders {
  return { "Content-Type": "text/plain; charset=utf-8", "Content-Length": Buffer.byteLength(text) };
}

/** Begins a response without an end, and sends its headers at once. */
export function beginStream(response: HttpResponse, headers: OutgoingHttpHeaders): void {
  const writing: Writing = response;
  writing.writeHead(200, headers);
  // The types of HTTP/2 lack this method.
  (response as Pick<ServerResponse, "flushHeaders">).flushHeaders();
}

/** Writes to a response. Resolves when the response takes more, or is closed. */
export async function write(response: HttpResponse, chunk: string | Uint8Array): Promise<void> {
  const writing: Writing = response;
  if (isGone(response) || writing.write(chunk)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      writing.off("drain", done);
      writing.off("close", done);
      resolve();
    };
    writing.once("drain", done);
    writing.once("close", done);
  });
}

/** Cuts a response off, so that its client can't take it for complete. */
export function cut(response: HttpResponse): void {
  if (isHttp2(response)) response.stream?.close(builtins.http2.constants.NGHTTP2_CANCEL);
  else response.destroy();
}

/** True if nothing that is written reaches the client any more. */
export function isGone(response: HttpResponse): boolean {
  if (isHttp2(response)) return response.stream === undefined || response.stream.destroyed;
  return response.destroyed;
}

/** True for a response over HTTP/2. To ask by `instanceof` would load `node:http2` for those over HTTP/1.1. */
function isHttp2(response: HttpResponse): response is Http2ServerResponse {
  return "stream" in response;
}
