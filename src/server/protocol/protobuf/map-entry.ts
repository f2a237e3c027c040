/** Reads one entry of a Protobuf map from text to text: a tag of a publication, or a header of a connect request. */
import { ENTRY } from "./fields.ts";
import type { ProtobufReader } from "./reader.ts";

/** Adds the entry to `map`. The map has no prototype, so that the key "__proto__" is a key like any other. */
export function readTextEntry(
  reader: ProtobufReader,
  end: number,
  map: Record<string, string> = Object.create(null),
): Record<string, string> {
  const entryEnd = reader.message(end);
  let key = "";
  let value = "";
  while (reader.more(entryEnd)) {
    const field = reader.field();
    if (field === ENTRY.key) key = reader.text(entryEnd);
    else if (field === ENTRY.value) value = reader.text(entryEnd);
    else reader.skip(entryEnd);
  }
  map[key] = value;
  return map;
}
