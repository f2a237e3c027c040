/** Reads the body of an emulation request as JSON. */
import type { EmulationRequest } from "../messages.ts";
import { FieldReader } from "./field-reader.ts";
import { memberSpan } from "./scan.ts";
import { isJson } from "./validate.ts";

/** See `Codec.decodeEmulation`. Clients write the commands as a string; commands that are no string are taken too. */
export function decodeEmulation(body: Buffer): EmulationRequest | undefined {
  if (!isJson(body)) return undefined;
  const fields = new FieldReader();
  const object = fields.asObject(JSON.parse(body.toString()));
  if (object === undefined) return undefined;
  const { data } = object;
  const span = typeof data === "string" ? undefined : memberSpan(body, { start: 0, end: body.length }, "data");
  const commands = span === undefined ? Buffer.from(fields.text(object, "data")) : body.subarray(span.start, span.end);
  const request = { node: fields.text(object, "node"), session: fields.text(object, "session"), data: commands };
  return fields.failed ? undefined : request;
}
