/** Writes the messages of a connection to its HTTP response, for each transport and encoding. */
import type { OutgoingHttpHeaders } from "node:http";
import type { Message } from "../../wire/protocol/message.ts";
import { reconnectsAfter } from "../protocol/codes.ts";
import type { EmulatedTransport } from "../protocol/emulation.ts";
import { jsonCodec } from "../protocol/json/codec.ts";
import type { Codec, Encoded } from "../protocol/messages.ts";
import { protobufCodec } from "../protocol/protobuf/codec.ts";

export type Encoding = "json" | "binary";

export interface StreamFormat {
  readonly contentType: string;
  /** Writes one WebSocket message, which may hold several replies and pushes. */
  message(message: Message): Encoded;
  /** Writes the push that tells the end of the connection: a response has no close frame. */
  disconnect(code: number, reason: string): Encoded;
}

/** Headers of all streams: no cache and no proxy may keep a part of them back. `X-Accel-Buffering` is read by nginx. */
export const STREAM_HEADERS: OutgoingHttpHeaders = {
  "Cache-Control": "private, no-store, no-transform",
  "X-Accel-Buffering": "no",
};

/** Codes below this one have no meaning for clients of this protocol: the end of the response says the same. */
export const MIN_PUSHED_CODE = 3_000;

const sse: StreamFormat = {
  contentType: "text/event-stream; charset=utf-8",
  message: ({ text }) => events(text),
  disconnect: (code, reason) => events(String(disconnectPush(jsonCodec, code, reason))),
};

const jsonLines: StreamFormat = {
  contentType: "application/x-ndjson; charset=utf-8",
  message: ({ text }) => `${text}\n`,
  disconnect: (code, reason) => `${disconnectPush(jsonCodec, code, reason)}\n`,
};

/** The messages of the codec have their lengths before them already. */
const protobuf: StreamFormat = {
  contentType: "application/octet-stream",
  message: ({ bytes }) => bytes,
  disconnect: (code, reason) => disconnectPush(protobufCodec, code, reason),
};

export function streamFormat(transport: EmulatedTransport, encoding: Encoding): StreamFormat {
  if (encoding === "binary") return protobuf;
  return transport === "sse" ? sse : jsonLines;
}

/**
 * Makes each line an event of its own.
 *
 * Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
function events(lines: string): string {
  // A carriage return would end the line of an event. In JSON it can only be space between tokens.
  return `data: ${lines.replaceAll("\r", " ").replaceAll("\n", "\n\ndata: ")}\n\n`;
}

function disconnectPush(codec: Codec, code: number, reason: string): Encoded {
  return codec.join([codec.encodePush({ kind: "disconnect", code, reason, reconnect: reconnectsAfter(code) })]);
}
