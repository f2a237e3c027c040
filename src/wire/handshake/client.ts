/**
 * The client's side of the opening handshake: the request's headers and the checks of the answer. Used by `connect` of
 * `switchboard/websocket` and by the load generator.
 */
import type { IncomingHttpHeaders } from "node:http";
import { builtins } from "../node-internals/builtins.ts";
import type { CompressionOptions, DeflateAgreement } from "../protocol/deflate/compression.ts";
import { acceptKey } from "./accept-key.ts";
import { checkDeflateAnswer, offerDeflate } from "./permessage-deflate.ts";
import { hasMember } from "./tokens.ts";

export interface ClientHandshakeOptions {
  /** Subprotocols that this client supports, the preferred one first. Default: none. */
  readonly protocols?: readonly string[];
  /** Compression to offer. Default: none. */
  readonly compression?: CompressionOptions | undefined;
}

/** One opening handshake of a client: the request's headers, and the values to compare the answer with. */
export interface ClientHandshake {
  /** Value of `Sec-WebSocket-Key`. */
  readonly key: string;
  readonly protocols: readonly string[];
  readonly compression: CompressionOptions | undefined;
  /** Request headers to send besides `Host`, `Connection` and `Upgrade`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The parts of an answer that the opening handshake needs. A client's `IncomingMessage` has them. */
export interface HandshakeResponse {
  readonly statusCode?: number | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** An answer that opens the connection. */
export interface HandshakeAccepted {
  readonly ok: true;
  /** The subprotocol that the server chose; "" for none. */
  readonly protocol: string;
  /** The extensions in use, as the header lists them; "" for none. */
  readonly extensions: string;
  /** The negotiated compression; undefined for none. */
  readonly deflate: DeflateAgreement | undefined;
}

/** An answer that doesn't open the connection. The code is stable and may be matched on. */
export interface HandshakeRejected {
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

type Check = (response: HandshakeResponse, handshake: ClientHandshake) => HandshakeRejected | undefined;

/** The checks of RFC 6455 section 4.1, in its order. The first check that fails decides. */
const checks: readonly Check[] = [
  switchesProtocols,
  switchesToWebSocket,
  listsUpgradeInConnection,
  answersOurKey,
  choosesOfferedProtocol,
];

/** Prepares a handshake with a new random key. Source: RFC 6455 section 4.1. */
export function beginHandshake({ protocols = [], compression }: ClientHandshakeOptions = {}): ClientHandshake {
  const key = builtins.crypto.randomBytes(16).toString("base64");
  const headers = {
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": key,
    ...(protocols.length > 0 && { "Sec-WebSocket-Protocol": protocols.join(", ") }),
    ...(compression && { "Sec-WebSocket-Extensions": offerDeflate(compression) }),
  };
  return { key, protocols, compression, headers };
}

/** Checks whether the server's answer opens the connection. */
export function checkHandshakeResponse(
  response: HandshakeResponse,
  handshake: ClientHandshake,
): HandshakeAccepted | HandshakeRejected {
  for (const check of checks) {
    const rejected = check(response, handshake);
    if (rejected !== undefined) return rejected;
  }
  // An empty header is treated as a missing one.
  const extensions = response.headers["sec-websocket-extensions"] || undefined;
  const deflate = checkDeflateAnswer(extensions, handshake.compression);
  if (!deflate.ok) return reject("ERR_HANDSHAKE_EXTENSION", deflate.reason);
  return { ok: true, protocol: protocolOf(response) ?? "", extensions: extensions ?? "", deflate: deflate.agreement };
}

function switchesProtocols({ statusCode }: HandshakeResponse): HandshakeRejected | undefined {
  if (statusCode === 101) return undefined;
  return reject("ERR_HANDSHAKE_STATUS", `the server answered ${statusCode ?? "nothing"} instead of 101`);
}

function switchesToWebSocket({ headers }: HandshakeResponse): HandshakeRejected | undefined {
  if (headers.upgrade?.toLowerCase() === "websocket") return undefined;
  return reject("ERR_HANDSHAKE_UPGRADE", "the server's 101 doesn't switch to websocket");
}

function listsUpgradeInConnection({ headers }: HandshakeResponse): HandshakeRejected | undefined {
  if (hasMember(headers.connection, "upgrade")) return undefined;
  return reject("ERR_HANDSHAKE_CONNECTION", "the Connection header of the server's 101 doesn't list Upgrade");
}

function answersOurKey({ headers }: HandshakeResponse, { key }: ClientHandshake): HandshakeRejected | undefined {
  if (headers["sec-websocket-accept"] === acceptKey(key)) return undefined;
  return reject("ERR_HANDSHAKE_ACCEPT", "the server's Sec-WebSocket-Accept doesn't answer our key");
}

/** A server that supports none of the offers sends no header. The application decides whether it goes on without. */
function choosesOfferedProtocol(
  response: HandshakeResponse,
  { protocols }: ClientHandshake,
): HandshakeRejected | undefined {
  const chosen = protocolOf(response);
  if (chosen === undefined || protocols.includes(chosen)) return undefined;
  return reject("ERR_HANDSHAKE_PROTOCOL", "the server chose a subprotocol that wasn't offered");
}

function protocolOf({ headers }: HandshakeResponse): string | undefined {
  return headers["sec-websocket-protocol"];
}

function reject(code: HandshakeRejected["code"], reason: string): HandshakeRejected {
  return { ok: false, code, reason };
}
