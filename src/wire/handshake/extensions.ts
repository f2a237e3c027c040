/** Parses `Sec-WebSocket-Extensions`, for both ends of the opening handshake. */
import { isToken, trimBlanks } from "./tokens.ts";

/** One member of `Sec-WebSocket-Extensions`: a name and ordered parameters. A parameter without a value has `true`. */
export interface Extension {
  readonly name: string;
  readonly parameters: readonly (readonly [name: string, value: string | true])[];
}

/** Largest number of extensions in a header. More are an attack: browsers send one extension with one parameter. */
const MAX_EXTENSIONS = 32;
const MAX_PARAMETERS = 32;
const MAX_HEADER_LENGTH = 8 * 1024;

/**
 * Parses a `Sec-WebSocket-Extensions` header. Returns undefined when the header breaks the grammar, is empty, or is
 * longer than the limits allow. Drops empty members. Takes time in proportion to the header's length.
 *
 * A value may be quoted, and must be a token inside its quotes, too. Source: RFC 6455 section 9.1.
 */
export function parseExtensions(header: string): Extension[] | undefined {
  if (header.length > MAX_HEADER_LENGTH) return undefined;
  const members = splitOutsideQuotes(header, ",")?.filter((member) => member !== "");
  if (members === undefined || members.length === 0 || members.length > MAX_EXTENSIONS) return undefined;
  const extensions: Extension[] = [];
  for (const member of members) {
    const extension = parseExtension(member);
    if (extension === undefined) return undefined;
    extensions.push(extension);
  }
  return extensions;
}

function parseExtension(member: string): Extension | undefined {
  const [name = "", ...rest] = splitOutsideQuotes(member, ";") ?? [];
  if (!isToken(name) || rest.length > MAX_PARAMETERS) return undefined;
  const parameters: [string, string | true][] = [];
  for (const text of rest) {
    const equals = text.indexOf("=");
    const parameter = trimBlanks(equals === -1 ? text : text.slice(0, equals));
    const value = equals === -1 ? true : unquote(trimBlanks(text.slice(equals + 1)));
    if (!isToken(parameter) || (value !== true && !isToken(value))) return undefined;
    parameters.push([parameter, value]);
  }
  return { name, parameters };
}

/** Splits at separators outside quotes and trims the pieces. Returns undefined when a quote is never closed. */
function splitOutsideQuotes(text: string, separator: string): string[] | undefined {
  const pieces: string[] = [];
  let start = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (quoted && character === "\\") at++;
    else if (character === '"') quoted = !quoted;
    else if (character === separator && !quoted) {
      pieces.push(trimBlanks(text.slice(start, at)));
      start = at + 1;
    }
  }
  pieces.push(trimBlanks(text.slice(start)));
  return quoted ? undefined : pieces;
}

/**
 * Removes the quotes of a quoted string. Returns any other value unchanged. A value with text around its quotes also
 * stays unchanged, and fails as a token later.
 */
function unquote(value: string): string {
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return value;
  return value.slice(1, -1).replace(/\\(.)/g, "$1");
}
