/** The opening handshake on the wire: writes the request and reads the server's answer. Used by `client.ts`. */
import { type ClientHandshake, checkHandshakeResponse, type HandshakeAccepted } from "../wire/handshake/client.ts";
import type { Target } from "./target.ts";

const MAX_HEAD_BYTES = 16 * 1024;
const END = "\r\n\r\n";

/** The result of a handshake. `end` is the offset of the first frame in the last chunk. */
export type AnswerOutcome =
  | { readonly ok: true; readonly accepted: HandshakeAccepted; readonly end: number }
  | { readonly ok: false; readonly reason: string };

/** Writes the opening request. Source: RFC 6455 section 4.1. */
export function requestHead(
  { path, host }: Target,
  { headers }: ClientHandshake,
  added: readonly (readonly [name: string, value: string])[],
): string {
  const all = [
    ["Host", host],
    ["Connection", "Upgrade"],
    ["Upgrade", "websocket"],
    ...Object.entries(headers),
    ...added,
  ];
  return `GET ${path} HTTP/1.1\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
}

/** Reads the server's answer to one handshake. */
export class Answer {
  readonly #handshake: ClientHandshake;
  #head = "";

  constructor(handshake: ClientHandshake) {
    this.#handshake = handshake;
  }

  /** Reads the next chunk, `bytes[0, length)`. Returns undefined while the answer is incomplete. */
  read(bytes: Buffer, length: number): AnswerOutcome | undefined {
    const before = this.#head.length;
    this.#head += bytes.toString("latin1", 0, Math.min(length, MAX_HEAD_BYTES));
    const end = this.#head.indexOf(END, Math.max(0, before - END.length));
    if (end === -1) {
      return this.#head.length < MAX_HEAD_BYTES
        ? undefined
        : { ok: false, reason: "the server's answer has no end within 16 KiB" };
    }
    const [status = "", ...lines] = this.#head.slice(0, end).split("\r\n");
    const statusCode = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(status)?.[1]);
    if (Number.isNaN(statusCode)) return { ok: false, reason: "the server doesn't answer in HTTP/1.1" };
    const checked = checkHandshakeResponse({ statusCode, headers: parseHeaders(lines) }, this.#handshake);
    if (!checked.ok) return { ok: false, reason: checked.reason };
    return { ok: true, accepted: checked, end: end + END.length - before };
  }
}

/** Reads headers, with names in lower case. Joins the values of a repeated name, as HTTP allows. */
function parseHeaders(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const earlier = headers[name];
    headers[name] = earlier === undefined ? value : `${earlier}, ${value}`;
  }
  return headers;
}
