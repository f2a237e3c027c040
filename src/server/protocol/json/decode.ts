/** Reads commands as JSON: one object a line. The JSON codec uses it. */
import { isUtf8 } from "node:buffer";
import { EMPTY } from "../../../wire/protocol/empty.ts";
import { MAX_COMMANDS, MAX_JSON_DEPTH } from "../limits.ts";
import type { Command } from "../messages.ts";
import { FieldReader, type JsonObject } from "./field-reader.ts";
import { isDeeperThan, memberSpan, type Span } from "./scan.ts";

const NEWLINE = 0x0a;
const PONG: Command = Object.freeze({ id: 0, kind: "pong" });

/** The requests in the order of the schema. If a command has several requests, the first one in this order counts. */
const KINDS = [
  "connect",
  "subscribe",
  "unsubscribe",
  "publish",
  "presence",
  "presence_stats",
  "history",
  "ping",
  "send",
  "rpc",
  "refresh",
  "sub_refresh",
] as const;

type Kind = (typeof KINDS)[number];

const RANKS: ReadonlyMap<string, number> = new Map(KINDS.map((kind, rank) => [kind, rank]));

/** Reads the commands of one message; undefined if the message is malformed. */
export function decodeCommands(payload: Buffer): Command[] | undefined {
  // The answer to a ping is the most frequent message of idle clients.
  if (payload.length === 2 && payload[0] === 0x7b && payload[1] === 0x7d) return [PONG];
  const commands: Command[] = [];
  let start = 0;
  do {
    if (commands.length === MAX_COMMANDS) return undefined;
    const newline = payload.indexOf(NEWLINE, start);
    const end = newline === -1 ? payload.length : newline;
    const command = decodeCommand(payload, start, end);
    if (command === undefined) return undefined;
    commands.push(command);
    start = end + 1;
  } while (start < payload.length);
  return commands;
}

function decodeCommand(bytes: Buffer, start: number, end: number): Command | undefined {
  if (isDeeperThan(bytes, start, end, MAX_JSON_DEPTH)) return undefined;
  const text = bytes.toString("utf8", start, end);
  // Text frames are valid UTF-8 already, bodies of HTTP requests needn't be. Invalid bytes would have become U+FFFD.
  if (text.includes("\ufffd") && !isUtf8(bytes.subarray(start, end))) return undefined;
  const value = parse(text);
  const fields = new FieldReader();
  const object = fields.asObject(value);
  if (object === undefined) return undefined;
  const id = fields.uint32(object, "id");
  const kind = kindOf(object);
  const command = kind === undefined ? without(id) : read(fields, kind, id, object, bytes, { start, end });
  return fields.failed ? undefined : command;
}

function without(id: number): Command {
  return id === 0 ? PONG : { id, kind: "unknown" };
}

/** Returns undefined for malformed text: no JSON text has this value. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function kindOf(object: JsonObject): Kind | undefined {
  let first: number | undefined;
  for (const key in object) {
    const rank = RANKS.get(key);
    if (rank !== undefined && object[key] !== null && (first === undefined || rank < first)) first = rank;
  }
  return first === undefined ? undefined : KINDS[first];
}

function read(
  fields: FieldReader,
  kind: Kind,
  id: number,
  object: JsonObject,
  bytes: Buffer,
  line: Span,
): Command | undefined {
  const request = fields.object(object, kind);
  if (request === undefined) return undefined;
  const data = (): Buffer | undefined => ("data" in request ? rawData(bytes, line, kind) : undefined);
  const channel = (): string => fields.text(request, "channel");
  switch (kind) {
    case "connect":
      return { id, kind, request: fields.connect(request, data()) };
    case "subscribe":
      return { id, kind, request: fields.subscribe(request, data()) };
    case "unsubscribe":
    case "presence":
    case "presence_stats":
      return { id, kind, request: { channel: channel() } };
    case "publish":
      return { id, kind, request: { channel: channel(), data: data() ?? EMPTY, type: fields.int32(request, "type") } };
    case "history":
      return { id, kind, request: fields.history(request) };
    case "rpc":
      return { id, kind, request: { method: fields.text(request, "method"), data: data() } };
    case "send":
      return { id, kind, request: { data: data() } };
    case "refresh":
      return { id, kind, request: { token: fields.text(request, "token") } };
    case "sub_refresh": {
      const token = fields.text(request, "token");
      return { id, kind, request: { channel: channel(), token, type: fields.int32(request, "type") } };
    }
    case "ping":
      return { id, kind };
  }
}

/** The text of the payload as the client wrote it, so that numbers keep their form. */
function rawData(bytes: Buffer, line: Span, kind: Kind): Buffer | undefined {
  const request = memberSpan(bytes, line, kind);
  const data = request === undefined ? undefined : memberSpan(bytes, request, "data");
  return data === undefined ? undefined : bytes.subarray(data.start, data.end);
}
