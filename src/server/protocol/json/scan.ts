/**
 * Scans the bytes of JSON text without building values. The JSON codec uses it to keep payloads as the client wrote
 * them, and to refuse text that is too deep before `JSON.parse` spends memory on it.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const SPACE = 0x20;

/** Part of a buffer: `[start, end)`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** True if objects and arrays in `bytes[start, end)` are nested deeper than `maxDepth`. The text may be malformed. */
export function isDeeperThan(bytes: Buffer, start: number, end: number, maxDepth: number): boolean {
  // Text of depth n has n opening and n closing characters at least.
  if (end - start <= 2 * maxDepth) return false;
  let depth = 0;
  let at = start;
  while (at < end) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) {
      at = stringEnd(bytes, at, end);
      continue;
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > maxDepth) return true;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--;
    at++;
  }
  return false;
}

/**
 * Finds the value of a member of the object in `bytes[start, end)`, which `JSON.parse` has accepted. Of several members
 * with this key, the last one counts, as with `JSON.parse`. Returns undefined if there is none.
 */
export function memberSpan(bytes: Buffer, { start, end }: Span, key: string): Span | undefined {
  let found: Span | undefined;
  let at = skipSpace(bytes, start, end);
  if (!isAt(bytes, at, end, OPEN_BRACE)) return undefined;
  at = skipSpace(bytes, at + 1, end);
  while (isAt(bytes, at, end, QUOTE)) {
    const keyEnd = stringEnd(bytes, at, end);
    const matches = isKey(bytes, at, keyEnd, key);
    at = skipSpace(bytes, keyEnd, end);
    if (!isAt(bytes, at, end, COLON)) return undefined;
    const valueStart = skipSpace(bytes, at + 1, end);
    const valueEnd = skipValue(bytes, valueStart, end);
    if (matches) found = { start: valueStart, end: valueEnd };
    at = skipSpace(bytes, valueEnd, end);
    if (!isAt(bytes, at, end, COMMA)) break;
    at = skipSpace(bytes, at + 1, end);
  }
  return found;
}

/**
 * Finds the values of all members of the object in `bytes[start, end)`, which `JSON.parse` has accepted, by key.
 * Returns undefined if the value is no object.
 */
export function memberSpans(bytes: Buffer, { start, end }: Span): Map<string, Span> | undefined {
  let at = skipSpace(bytes, start, end);
  if (bytes[at] !== OPEN_BRACE) return undefined;
  const members = new Map<string, Span>();
  at = skipSpace(bytes, at + 1, end);
  while (bytes[at] === QUOTE) {
    const keyEnd = stringEnd(bytes, at, end);
    const key: string = JSON.parse(bytes.toString("utf8", at, keyEnd));
    const valueStart = skipSpace(bytes, skipSpace(bytes, keyEnd, end) + 1, end);
    const valueEnd = skipValue(bytes, valueStart, end);
    members.set(key, { start: valueStart, end: valueEnd });
    at = skipSpace(bytes, valueEnd, end);
    if (bytes[at] !== COMMA) break;
    at = skipSpace(bytes, at + 1, end);
  }
  return members;
}

/** Returns the elements of the array in `bytes[start, end)`, which `JSON.parse` has accepted. */
export function elementSpans(bytes: Buffer, { start, end }: Span): Span[] {
  const elements: Span[] = [];
  let at = skipSpace(bytes, start, end);
  if (bytes[at] !== OPEN_BRACKET) return elements;
  at = skipSpace(bytes, at + 1, end);
  while (at < end && bytes[at] !== CLOSE_BRACKET) {
    const valueEnd = skipValue(bytes, at, end);
    elements.push({ start: at, end: valueEnd });
    at = skipSpace(bytes, valueEnd, end);
    if (bytes[at] !== COMMA) break;
    at = skipSpace(bytes, at + 1, end);
  }
  return elements;
}

/** Returns the values of a text of several values, one after the other. The text may be malformed: parse each value. */
export function valueSpans(bytes: Buffer): Span[] {
  const values: Span[] = [];
  let at = skipSpace(bytes, 0, bytes.length);
  while (at < bytes.length) {
    // A character that begins no value is a value of its own, which no parser takes.
    const end = Math.max(at + 1, skipValue(bytes, at, bytes.length));
    values.push({ start: at, end });
    at = skipSpace(bytes, end, bytes.length);
  }
  return values;
}

/** Says whether the string at `start`, in its quotes, is `key`. A key may be written with escapes. */
function isKey(bytes: Buffer, start: number, end: number, key: string): boolean {
  let escaped = false;
  for (let at = start + 1; at < end - 1; at++) {
    if (bytes[at] === BACKSLASH) {
      escaped = true;
      break;
    }
  }
  if (escaped) return JSON.parse(bytes.toString("utf8", start, end)) === key;
  if (end - start - 2 !== key.length) return false;
  for (let at = 0; at < key.length; at++) {
    if (bytes[start + 1 + at] !== key.charCodeAt(at)) return false;
  }
  return true;
}

/** Returns the offset after the string that begins at `at`; `end` if the string doesn't end. */
function stringEnd(bytes: Buffer, at: number, end: number): number {
  for (let next = at + 1; next < end; next++) {
    const byte = bytes[next];
    if (byte === QUOTE) return next + 1;
    if (byte === BACKSLASH) next++;
  }
  return end;
}

function isAt(bytes: Buffer, at: number, end: number, byte: number): boolean {
  return at < end && bytes[at] === byte;
}

function skipSpace(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && (bytes[at] as number) <= SPACE) at++;
  return at;
}

/** Returns the offset after the value that begins at `start`. */
function skipValue(bytes: Buffer, start: number, end: number): number {
  if (start >= end) return end;
  const first = bytes[start];
  if (first === QUOTE) return stringEnd(bytes, start, end);
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return skipScalar(bytes, start, end);
  let depth = 0;
  let at = start;
  while (at < end) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) {
      at = stringEnd(bytes, at, end);
      continue;
    }
    at++;
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
    else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) return at;
  }
  return end;
}

function skipScalar(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const byte = bytes[at] as number;
    if (byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || byte <= SPACE) return at;
    at++;
  }
  return end;
}
