import { randomBytes } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { CompressionOptions, DeflateAgreement } from "../protocol/deflate/compression.ts";
import { acceptKey } from "./accept-key.ts";
import { checkDeflateAnswer, offerDeflate } from "./permessage-deflate.ts";
import { hasMember } from "./tokens.ts";

export interface ClientHandshakeOptions {
  /** Subprotocols that we speak, the preferred one first. Default: none. */
  readonly protocols?: readonly string[];
  /** Compression to offer. Default: none. */
  readonly compression?: CompressionOptions | undefined;
}

/** One opening handshake from the client's side: what it asks, and what its answer is held against. */
export interface ClientHandshake {
  /** Value of `Sec-WebSocket-Key`. */
  readonly key: string;
  readonly protocols: readonly string[];
  readonly compression: CompressionOptions | undefined;
  /** What the request carries besides `Host`, `Connection` and `Upgrade`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What of an answer the opening handshake looks at. A client's `IncomingMessage` is one. */
export interface HandshakeResponse {
  readonly statusCode?: number | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** An answer that holds. */
export interface Agreed {
  readonly ok: true;
  /** The subprotocol that the server chose, or "" for none. */
  readonly protocol: string;
  /** The extensions in use, as the header says it; "" for none. */
  readonly extensions: string;
  /** How messages are compressed; undefined for not at all. */
  readonly deflate: DeflateAgreement | undefined;
}

/** An answer that doesn't hold. The code is stable and may be matched on. */
export interface Disagreed {
  readonly ok: false;
  readonly code:
    | "ERR_HANDSHAKE_STATUS"
    | "ERR_HANDSHAKE_UPGRADE"
    | "ERR_HANDSHAKE_CONNECTION"
    | "ERR_HANDSHAKE_ACCEPT"
    | "ERR_HANDSHAKE_PROTOCOL"
    | "ERR_HANDSHAKE_EXTENSION";
  readonly reason: string;
}

type Check = (response: HandshakeResponse, handshake: ClientHandshake) => Disagreed | undefined;

/** The checks of RFC 6455 section 4.1, in its order: the first that fails decides. */
const checks: readonly Check[] = [
  switchesProtocols,
  switchesToWebSocket,
  listsUpgradeInConnection,
  answersOurKey,
  choosesOfferedProtocol,
];

/** Prepares a handshake with a key of its own. Source: RFC 6455 section 4.1. */
export function beginHandshake({ protocols = [], compression }: ClientHandshakeOptions = {}): ClientHandshake {
  const key = randomBytes(16).toString("base64");
  const headers = {
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": key,
    ...(protocols.length > 0 && { "Sec-WebSocket-Protocol": protocols.join(", ") }),
    ...(compression && { "Sec-WebSocket-Extensions": offerDeflate(compression) }),
  };
  return { key, protocols, compression, headers };
}

/** Decides whether the server's answer opens the connection. */
export function checkHandshakeResponse(response: HandshakeResponse, handshake: ClientHandshake): Agreed | Disagreed {
  for (const check of checks) {
    const disagreed = check(response, handshake);
    if (disagreed !== undefined) return disagreed;
  }
  // An empty header says nothing.
  const extensions = response.headers["sec-websocket-extensions"] || undefined;
  const deflate = checkDeflateAnswer(extensions, handshake.compression);
  if (!deflate.ok) return disagree("ERR_HANDSHAKE_EXTENSION", deflate.reason);
  return { ok: true, protocol: protocolOf(response) ?? "", extensions: extensions ?? "", deflate: deflate.agreement };
}

function switchesProtocols({ statusCode }: HandshakeResponse): Disagreed | undefined {
  if (statusCode === 101) return undefined;
  return disagree("ERR_HANDSHAKE_STATUS", `the server answered ${statusCode ?? "nothing"} instead of 101`);
}

function switchesToWebSocket({ headers }: HandshakeResponse): Disagreed | undefined {
  if (headers.upgrade?.toLowerCase() === "websocket") return undefined;
  return disagree("ERR_HANDSHAKE_UPGRADE", "the server's 101 doesn't switch to websocket");
}

function listsUpgradeInConnection({ headers }: HandshakeResponse): Disagreed | undefined {
  if (hasMember(headers.connection, "upgrade")) return undefined;
  return disagree("ERR_HANDSHAKE_CONNECTION", "the Connection header of the server's 101 doesn't list Upgrade");
}

function answersOurKey({ headers }: HandshakeResponse, { key }: ClientHandshake): Disagreed | undefined {
  if (headers["sec-websocket-accept"] === acceptKey(key)) return undefined;
  return disagree("ERR_HANDSHAKE_ACCEPT", "the server's Sec-WebSocket-Accept doesn't answer our key");
}

/** A server that speaks none of them says nothing, and the client decides whether it goes on. */
function choosesOfferedProtocol(response: HandshakeResponse, { protocols }: ClientHandshake): Disagreed | undefined {
  const chosen = protocolOf(response);
  if (chosen === undefined || protocols.includes(chosen)) return undefined;
  return disagree("ERR_HANDSHAKE_PROTOCOL", "the server chose a subprotocol that wasn't asked for");
}

function protocolOf({ headers }: HandshakeResponse): string | undefined {
  return headers["sec-websocket-protocol"];
}

function disagree(code: Disagreed["code"], reason: string): Disagreed {
  return { ok: false, code, reason };
}
