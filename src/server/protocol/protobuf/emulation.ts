/** Reads the body of an emulation request as Protobuf. */
import { EMPTY } from "../../../wire/protocol/empty.ts";
import type { EmulationRequest } from "../messages.ts";
import { EMULATION_REQUEST } from "./fields.ts";
import { ProtobufReader } from "./reader.ts";

/** See `Codec.decodeEmulation`. */
export function decodeEmulation(body: Buffer): EmulationRequest | undefined {
  const reader = new ProtobufReader(body);
  const end = body.length;
  let node = "";
  let session = "";
  let data: Buffer | undefined;
  while (reader.more(end)) {
    const field = reader.field();
    if (field === EMULATION_REQUEST.node) node = reader.text(end);
    else if (field === EMULATION_REQUEST.session) session = reader.text(end);
    else if (field === EMULATION_REQUEST.data) data = reader.bytes(end);
    else reader.skip(end);
  }
  return reader.failed ? undefined : { node, session, data: data ?? EMPTY };
}
