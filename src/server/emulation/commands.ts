/** Reads the body of `POST /emulation`: the commands of a client, and where they go. */
import { isUtf8 } from "node:buffer";
import { EMULATION_REQUEST } from "../protocol/protobuf/fields.ts";
import { ProtobufReader } from "../protocol/protobuf/reader.ts";
import type { Encoding } from "./messages.ts";

export interface EmulationRequest {
  /** `node` of the connect result: the address of the client's actor. */
  readonly node: string;
  /** `session` of the connect result: the secret that proves the client. */
  readonly session: string;
  /** Text for JSON, bytes for Protobuf. */
  readonly data: string | Uint8Array;
}

/** Returns the request, or undefined for a body that is none. */
export function parseEmulationRequest(body: Buffer, encoding: Encoding): EmulationRequest | undefined {
  return encoding === "json" ? parseJson(body) : parseProtobuf(body);
}

function parseJson(body: Buffer): EmulationRequest | undefined {
  if (!isUtf8(body)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { node = "", session = "", data = "" } = value as Record<keyof EmulationRequest, unknown>;
  if (typeof node !== "string" || typeof session !== "string" || typeof data !== "string") return undefined;
  return { node, session, data };
}

function parseProtobuf(body: Buffer): EmulationRequest | undefined {
  const reader = new ProtobufReader(body);
  let node = "";
  let session = "";
  let data: Uint8Array | undefined;
  while (reader.more(body.length)) {
    const field = reader.field();
    if (field === EMULATION_REQUEST.node) node = reader.text(body.length);
    else if (field === EMULATION_REQUEST.session) session = reader.text(body.length);
    else if (field === EMULATION_REQUEST.data) data = reader.bytes(body.length);
    else reader.skip(body.length);
  }
  // A copy of the bytes: a clone of a view would take the whole body along.
  return reader.failed ? undefined : { node, session, data: new Uint8Array(data ?? []) };
}
