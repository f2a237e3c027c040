/** Reads the body of `POST /emulation`: the commands of a client, and where they go. */
import { jsonCodec } from "../protocol/json/codec.ts";
import { protobufCodec } from "../protocol/protobuf/codec.ts";
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
  const request = (encoding === "json" ? jsonCodec : protobufCodec).decodeEmulation(body);
  if (request === undefined) return undefined;
  const { node, session, data } = request;
  // A copy of the bytes: a clone of a view would take the whole body along.
  return { node, session, data: encoding === "json" ? data.toString() : new Uint8Array(data) };
}
