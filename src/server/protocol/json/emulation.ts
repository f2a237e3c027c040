/** Reads the body of an emulation request as JSON. */
import type { EmulationRequest } from "../messages.ts";
import { FieldReader } from "./field-reader.ts";
import { isJson } from "./validate.ts";

/** See `Codec.decodeEmulation`. The commands are a string in JSON. */
export function decodeEmulation(body: Buffer): EmulationRequest | undefined {
  if (!isJson(body)) return undefined;
  const fields = new FieldReader();
  const object = fields.asObject(JSON.parse(body.toString()));
  if (object === undefined) return undefined;
  const [node, session, data] = [
    fields.text(object, "node"),
    fields.text(object, "session"),
    fields.text(object, "data"),
  ];
  return fields.failed ? undefined : { node, session, data: Buffer.from(data) };
}
