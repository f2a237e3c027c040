/**
 * The members of JSON objects as raw text: payloads in answers of the application are passed on as they were written,
 * so that large integers and `1.0` survive.
 */
import { isUtf8 } from "node:buffer";

/** The text of one JSON value, without line breaks; undefined if the bytes are none. */
export function jsonText(bytes: Buffer): string | undefined {
  if (!isUtf8(bytes)) return undefined;
  const text = bytes.toString();
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  // Within strings line breaks are escaped: those that are left stand between tokens.
  return text.replaceAll(/[\r\n]/g, "").trim();
}

/**
 * The raw text of each member of an object, by name. The text has to be valid JSON; undefined if it is no object. An
 * empty array counts as an empty object, because PHP writes one so.
 */
export function membersOf(text: string): Map<string, string> | undefined {
  if (/^\[\s*\]$/.test(text)) return new Map();
  if (text[0] !== "{") return undefined;
  const members = new Map<string, string>();
  for (const part of partsOf(text)) {
    const nameEnd = endOfString(part, 0);
    members.set(JSON.parse(part.slice(0, nameEnd)) as string, part.slice(part.indexOf(":", nameEnd) + 1).trim());
  }
  return members;
}

/** The raw texts between the commas of an object or an array. */
function partsOf(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 1;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = endOfString(text, at) - 1;
    else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") depth--;
    if ((char === "," && depth === 1) || depth === 0) {
      const part = text.slice(start, at).trim();
      if (part !== "") parts.push(part);
      start = at + 1;
    }
  }
  return parts;
}

/** Index behind the string that starts at `at`. */
function endOfString(text: string, at: number): number {
  let end = at + 1;
  while (text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
  return end + 1;
}
