/** How the messages of a connection are written to its HTTP response, for each transport and encoding. */
import type { OutgoingHttpHeaders } from "node:http";
import { PbfWriter } from "pbf";
import type { Message } from "../../wire/protocol/message.ts";
import type { EmulatedTransport } from "../protocol/emulation.ts";

export interface StreamFormat {
  readonly contentType: string;
  /** Writes one WebSocket message, which may hold several replies and pushes. */
  message(message: Message): string | Buffer;
  /** Writes the push that tells the end of the connection: a response has no close frame. */
  disconnect(code: number, reason: string): string | Buffer;
}

/** Headers of all streams: no cache and no proxy may keep a part of them back. `X-Accel-Buffering` is read by nginx. */
export const STREAM_HEADERS: OutgoingHttpHeaders = {
  "Cache-Control": "private, no-store, no-transform",
  "X-Accel-Buffering": "no",
};

/** Codes below this one have no meaning for clients of this protocol: the end of the response says the same. */
export const MIN_PUSHED_CODE = 3_000;

/** Each line of JSON is an event of its own. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html */
const sse: StreamFormat = {
  contentType: "text/event-stream; charset=utf-8",
  message: ({ text }) => events(text),
  disconnect: (code, reason) => events(disconnectJson(code, reason)),
};

const jsonLines: StreamFormat = {
  contentType: "application/json; charset=utf-8",
  message: ({ text }) => `${text}\n`,
  disconnect: (code, reason) => `${disconnectJson(code, reason)}\n`,
};

/** The replies in a WebSocket message have their lengths in front already. */
const protobuf: StreamFormat = {
  contentType: "application/octet-stream",
  message: ({ bytes }) => bytes,
  disconnect: disconnectProtobuf,
};

export function streamFormat(transport: EmulatedTransport, encoding: "json" | "binary"): StreamFormat {
  if (encoding === "binary") return protobuf;
  return transport === "sse" ? sse : jsonLines;
}

function events(lines: string): string {
  // A carriage return would end the line of an event. In JSON it can only be space between tokens.
  return `data: ${lines.replaceAll("\r", " ").replaceAll("\n", "\n\ndata: ")}\n\n`;
}

function disconnectJson(code: number, reason: string): string {
  return JSON.stringify({ push: { disconnect: { code, reason, ...(reconnects(code) && { reconnect: true }) } } });
}

/** Fields of the messages in centrifugal/protocol, definitions/client.proto. */
const REPLY_PUSH = 4;
const PUSH_DISCONNECT = 11;
const DISCONNECT = { code: 1, reason: 2, reconnect: 3 } as const;

function disconnectProtobuf(code: number, reason: string): Buffer {
  const disconnect = (_: unknown, writer: PbfWriter): void => {
    writer.writeVarintField(DISCONNECT.code, code);
    writer.writeStringField(DISCONNECT.reason, reason);
    if (reconnects(code)) writer.writeBooleanField(DISCONNECT.reconnect, true);
  };
  const reply = new PbfWriter();
  reply.writeMessage(
    REPLY_PUSH,
    (_: unknown, push: PbfWriter) => push.writeMessage(PUSH_DISCONNECT, disconnect, null),
    null,
  );
  const body = reply.finish();
  const framed = new PbfWriter();
  framed.writeVarint(body.length);
  return Buffer.concat([framed.finish(), body]);
}

/** True if clients come back after a close with this code. */
function reconnects(code: number): boolean {
  return !((code >= 3_500 && code < 4_000) || (code >= 4_500 && code < 5_000));
}
