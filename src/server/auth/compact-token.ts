/**
 * A token in its compact form: three parts in Base64url with dots between them (RFC 7515, section 7.1). Nothing is
 * checked.
 */

export interface CompactToken {
  /** The whole token. */
  readonly text: string;
  readonly algorithm: string;
  /** Header and payload, as they were signed. */
  readonly signed: string;
  /** Payload in Base64url. */
  readonly payload: string;
  /** Signature in Base64url. */
  readonly signature: string;
}

/** A token with more characters is refused unread. */
const MAX_TOKEN_LENGTH = 65_536;

/** Returns undefined for anything that isn't a signed token. */
export function splitToken(text: string): CompactToken | undefined {
  if (text.length > MAX_TOKEN_LENGTH) return undefined;
  const first = text.indexOf(".");
  const second = text.indexOf(".", first + 1);
  if (first === -1 || second === -1 || text.indexOf(".", second + 1) !== -1) return undefined;
  const header = parseObject(text.slice(0, first));
  // An extension that the sender calls critical isn't known here (RFC 7515, section 4.1.11).
  if (typeof header?.["alg"] !== "string" || header["crit"] !== undefined) return undefined;
  const signed = text.slice(0, second);
  const payload = text.slice(first + 1, second);
  return { text, algorithm: header["alg"], signed, payload, signature: text.slice(second + 1) };
}

/** Reads a JSON object in Base64url. Returns undefined for anything else. */
export function parseObject(part: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = parseExactly(Buffer.from(part, "base64url").toString());
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The part of JSON that TypeScript doesn't know yet. Source: ECMAScript proposal "JSON.parse source text access". */
const { rawJSON, isRawJSON } = JSON as typeof JSON & {
  rawJSON(text: string): { readonly rawJSON: string };
  isRawJSON(value: unknown): value is { readonly rawJSON: string };
};

/**
 * Parses JSON. An integer beyond 2^53 keeps its text: `JSON.stringify` writes the same digits, and `bigIntegerOf`
 * returns them.
 */
function parseExactly(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const reviver = (_key: string, value: unknown, { source = "" }: { readonly source?: string }): unknown =>
    typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER ? rawJSON(source) : value;
  return JSON.parse(text, reviver as never);
}

/** Returns the digits of an integer beyond 2^53; undefined for all other values. */
export function bigIntegerOf(value: unknown): string | undefined {
  return isRawJSON(value) && /^-?\d+$/.test(value.rawJSON) ? value.rawJSON : undefined;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isRawJSON(value);
}
