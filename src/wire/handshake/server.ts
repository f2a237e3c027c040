/**
 * The server's side of the opening handshake as a chain of named checks. It answers nothing itself. Used by the
 * acceptors of a board and by `upgradeConnection`.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { CompressionOptions } from "../protocol/deflate/compression.ts";
import { acceptKey } from "./accept-key.ts";
import { parseExtensions } from "./extensions.ts";
import { allowsOrigin, type Origins } from "./origins.ts";
import { acceptDeflate, type NegotiatedDeflate } from "./permessage-deflate.ts";
import { isHost, isHttp11, listHosts, repeatedHeader } from "./request-headers.ts";
import { hasMember, isToken, listMembers } from "./tokens.ts";

/** The parts of a request that the opening handshake needs. An `IncomingMessage` has them. */
export interface UpgradeRequest {
  readonly method?: string | undefined;
  readonly httpVersionMajor: number;
  readonly httpVersionMinor: number;
  readonly headers: IncomingHttpHeaders;
  /** Names and values as they came, in turn; `headers` hides which of them were repeated. Absent: none was. */
  readonly rawHeaders?: readonly string[] | undefined;
}

export interface ServerHandshakeOptions {
  /** Subprotocols that this server supports. Default: none; well-formed offers are then ignored. */
  readonly protocols?: readonly string[];
  /** Origins whose pages may connect, normalized. Default: all. */
  readonly origins?: Origins;
  /** Compression of messages. Default: no compression; well-formed offers are then declined. */
  readonly compression?: CompressionOptions | undefined;
}

/** An accepted handshake: the values for its 101, or for its 200 in HTTP/2. */
export interface Accepted {
  readonly ok: true;
  /** Value of `Sec-WebSocket-Accept`; "" in HTTP/2, which has no such header. */
  readonly accept: string;
  /** The chosen subprotocol; "" for none. */
  readonly protocol: string;
  /** The negotiated compression; undefined for none. */
  readonly deflate: NegotiatedDeflate | undefined;
}

/** A refused handshake: the HTTP answer to send. */
export interface Refusal {
  readonly ok: false;
  readonly status: number;
  readonly reason: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One check of a request. Returns undefined when the request passes. */
export type Check = (request: UpgradeRequest, options: ServerHandshakeOptions) => Refusal | undefined;

/** Largest number of subprotocols in one offer. More are an attack, not a choice. */
const MAX_OFFERED_PROTOCOLS = 64;

/** The checks that all versions of HTTP share. */
export const offerChecks: readonly Check[] = [
  comesFromAllowedOrigin,
  offersWellFormedProtocols,
  offersWellFormedExtensions,
];

/** The checks of RFC 6455 sections 4.2.1 and 4.2.2, in order. The first check that fails decides the answer. */
const checks: readonly Check[] = [
  upgradesToWebSocket,
  isGet,
  speaksHttp11,
  repeatsNoHeader,
  namesOneHost,
  listsUpgradeInConnection,
  hasNoBody,
  speaksVersion13,
  hasKey,
  ...offerChecks,
];

/** Checks an opening handshake over HTTP/1.1. Sends nothing. */
export function checkHandshake(request: UpgradeRequest, options: ServerHandshakeOptions = {}): Accepted | Refusal {
  return (
    firstRefusal(checks, request, options) ??
    accept(request, options, acceptKey(request.headers["sec-websocket-key"] as string))
  );
}

/** Returns the refusal of the first check that fails; undefined when all pass. */
export function firstRefusal(
  checks: readonly Check[],
  request: UpgradeRequest,
  options: ServerHandshakeOptions,
): Refusal | undefined {
  for (const check of checks) {
    const refusal = check(request, options);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** Accepts a request that passed its checks, and chooses among its offers. */
export function accept(request: UpgradeRequest, options: ServerHandshakeOptions, key: string): Accepted {
  return {
    ok: true,
    accept: key,
    protocol: chooseProtocol(request, options),
    deflate: chooseDeflate(request, options),
  };
}

function isGet({ method }: UpgradeRequest): Refusal | undefined {
  if (method === "GET") return undefined;
  return refuse(405, "A WebSocket handshake is a GET request.", { Allow: "GET" });
}

function speaksHttp11(request: UpgradeRequest): Refusal | undefined {
  if (isHttp11(request)) return undefined;
  return refuse(400, "A WebSocket handshake needs HTTP/1.1.");
}

/**
 * Header fields that hold one value may be sent once. Sources: RFC 9112 section 3.2, RFC 6455 sections 11.3.1 and
 * 11.3.5.
 */
export function repeatsNoHeader({ rawHeaders }: UpgradeRequest): Refusal | undefined {
  const repeated = rawHeaders && repeatedHeader(rawHeaders);
  return repeated === undefined ? undefined : refuse(400, `The ${repeated} header may be sent only once.`);
}

/** In HTTP/2, `:authority` is the host, and a Host header beside it must say the same (RFC 9113 section 8.3.1). */
export function namesOneHost({ headers, rawHeaders }: UpgradeRequest): Refusal | undefined {
  const { host } = headers;
  if (!host) return refuse(400, "The Host header is missing.");
  if (!isHost(host)) return refuse(400, "The Host header must be a host and perhaps a port.");
  if (rawHeaders === undefined || listHosts(rawHeaders).every((other) => isSame(other, host))) return undefined;
  return refuse(400, "The Host header and :authority must be the same.");
}

function isSame(host: string, other: string): boolean {
  return host.toLowerCase() === other.toLowerCase();
}

function upgradesToWebSocket({ headers }: UpgradeRequest): Refusal | undefined {
  if (hasMember(headers.upgrade, "websocket")) return undefined;
  return refuse(426, "This URL accepts only WebSocket: send Upgrade: websocket.", { Upgrade: "websocket" });
}

function listsUpgradeInConnection({ headers }: UpgradeRequest): Refusal | undefined {
  if (hasMember(headers.connection, "upgrade")) return undefined;
  return refuse(400, "The Connection header must list Upgrade.");
}

/** A handshake needs no body, and recent versions of Node give no raw socket for an upgrade that has one. */
export function hasNoBody({ headers }: UpgradeRequest): Refusal | undefined {
  if (headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0) return undefined;
  return refuse(400, "A WebSocket handshake has no body.");
}

function speaksVersion13({ headers }: UpgradeRequest): Refusal | undefined {
  if (headers["sec-websocket-version"] === "13") return undefined;
  return refuse(426, "The only supported Sec-WebSocket-Version is 13.", {
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
  });
}

/** 16 bytes in base64: 21 characters of 6 bits each, one character with the last 2 bits, and the padding. */
const KEY = /^[+/0-9A-Za-z]{21}[AQgw]==$/;

function hasKey({ headers }: UpgradeRequest): Refusal | undefined {
  const key = headers["sec-websocket-key"];
  if (key === undefined) return refuse(400, "The Sec-WebSocket-Key header is missing.");
  return KEY.test(key) ? undefined : refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64.");
}

/**
 * Browsers always send the origin of the page; other programs need not. A request without an Origin therefore passes
 * (RFC 6455 section 10.2).
 */
function comesFromAllowedOrigin(request: UpgradeRequest, { origins }: ServerHandshakeOptions): Refusal | undefined {
  const { origin } = request.headers;
  if (origins === undefined || origin === undefined || allowsOrigin(origins, origin, request)) return undefined;
  return refuse(403, "Pages of this origin may not connect here.");
}

function offersWellFormedProtocols({ headers }: UpgradeRequest): Refusal | undefined {
  const value = headers["sec-websocket-protocol"];
  if (value === undefined) return undefined;
  const offered = listMembers(value);
  if (offered.length === 0 || offered.length > MAX_OFFERED_PROTOCOLS) {
    return refuse(400, `Sec-WebSocket-Protocol must offer 1 to ${MAX_OFFERED_PROTOCOLS} subprotocols.`);
  }
  if (offered.every(isToken) && new Set(offered).size === offered.length) return undefined;
  return refuse(400, "Sec-WebSocket-Protocol must be a list of different tokens.");
}

/** Chooses the first offer that this server supports: clients list offers by preference (RFC 6455 section 4.1). */
function chooseProtocol({ headers }: UpgradeRequest, { protocols = [] }: ServerHandshakeOptions): string {
  if (protocols.length === 0) return "";
  return listMembers(headers["sec-websocket-protocol"] ?? "").find((offer) => protocols.includes(offer)) ?? "";
}

/** Refuses a header that breaks the grammar (RFC 6455 section 9.1). Invalid parameters refuse only their own offer. */
function offersWellFormedExtensions({ headers }: UpgradeRequest): Refusal | undefined {
  const value = headers["sec-websocket-extensions"];
  if (value === undefined || parseExtensions(value) !== undefined) return undefined;
  return refuse(400, "Sec-WebSocket-Extensions must be a short list of extensions.");
}

function chooseDeflate(
  { headers }: UpgradeRequest,
  { compression }: ServerHandshakeOptions,
): NegotiatedDeflate | undefined {
  const value = headers["sec-websocket-extensions"];
  if (compression === undefined || value === undefined) return undefined;
  return acceptDeflate(parseExtensions(value) ?? [], compression);
}

/** Makes a refusal. */
export function refuse(status: number, reason: string, headers?: Readonly<Record<string, string>>): Refusal {
  return { ok: false, status, reason, ...(headers && { headers }) };
}
