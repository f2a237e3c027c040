/** Reads the body of `POST /emulation`: the commands of a client, and where they go. */
import { isUtf8 } from "node:buffer";
import { PbfReader } from "pbf";

export interface EmulationRequest {
  /** `node` of the connect result: the address of the client's actor. */
  readonly node: string;
  /** `session` of the connect result: the secret that proves the client. */
  readonly session: string;
  /** Text for JSON, bytes for Protobuf. */
  readonly data: string | Uint8Array;
}

/** Returns the request, or undefined for a body that is none. */
export function parseEmulationRequest(body: Buffer, encoding: "json" | "binary"): EmulationRequest | undefined {
  try {
    return encoding === "json" ? parseJson(body) : parseProtobuf(body);
  } catch {
    return undefined;
  }
}

function parseJson(body: Buffer): EmulationRequest | undefined {
  if (!isUtf8(body)) return undefined;
  const value: unknown = JSON.parse(body.toString());
  if (typeof value !== "object" || value === null) return undefined;
  const { node = "", session = "", data = "" } = value as Record<keyof EmulationRequest, unknown>;
  if (typeof node !== "string" || typeof session !== "string" || typeof data !== "string") return undefined;
  return { node, session, data };
}

/** Fields of EmulationRequest in centrifugal/protocol, definitions/client.proto. */
const NODE = 1;
const SESSION = 2;
const DATA = 3;

const LENGTH_DELIMITED = 2;

function parseProtobuf(body: Buffer): EmulationRequest | undefined {
  const reader = new PbfReader(body);
  let [node, session, data] = ["", "", new Uint8Array()];
  while (reader.pos < body.length) {
    const tag = reader.readVarint();
    const field = tag >>> 3;
    const isText = field === NODE || field === SESSION || field === DATA;
    if (isText && (tag & 7) !== LENGTH_DELIMITED) return undefined;
    if (field === NODE) node = reader.readString();
    else if (field === SESSION) session = reader.readString();
    // A copy of its own: a clone of a part would take along the whole body.
    else if (field === DATA) data = new Uint8Array(reader.readBytes());
    else reader.skip(tag);
  }
  return reader.pos === body.length ? { node, session, data } : undefined;
}
