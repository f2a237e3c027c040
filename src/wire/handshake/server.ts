import type { IncomingHttpHeaders } from "node:http";
import type { CompressionOptions } from "../protocol/deflate/compression.ts";
import { acceptKey } from "./accept-key.ts";
import { parseExtensions } from "./extensions.ts";
import { acceptDeflate, type NegotiatedDeflate } from "./permessage-deflate.ts";
import { hasMember, isToken, listMembers } from "./tokens.ts";

/** What of a request the opening handshake looks at. An `IncomingMessage` is one. */
export interface UpgradeRequest {
  readonly method?: string | undefined;
  readonly httpVersionMajor: number;
  readonly httpVersionMinor: number;
  readonly headers: IncomingHttpHeaders;
}

export interface ServerHandshakeOptions {
  /** Subprotocols this server speaks. Default: none, and well-formed offers are ignored. */
  readonly protocols?: readonly string[];
  /** Origins whose pages may connect, as browsers write them (`https://example.com`). Default: all. */
  readonly origins?: readonly string[];
  /** How messages may be compressed. Default: not at all, and well-formed offers are declined. */
  readonly compression?: CompressionOptions | undefined;
}

/** A handshake that holds: what its 101, or in HTTP/2 its 200, must say. */
export interface Accepted {
  readonly ok: true;
  /** Value of `Sec-WebSocket-Accept`; "" in HTTP/2, which has none. */
  readonly accept: string;
  /** The subprotocol chosen, or "" for none. */
  readonly protocol: string;
  /** The compression agreed on, if any. */
  readonly deflate: NegotiatedDeflate | undefined;
}

/** A handshake that doesn't hold: the answer it gets. */
export interface Refusal {
  readonly ok: false;
  readonly status: number;
  readonly reason: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Check = (request: UpgradeRequest, options: ServerHandshakeOptions) => Refusal | undefined;

/** More offers than this are an attack, not a choice. */
const MAX_OFFERED_PROTOCOLS = 64;

/** The checks that are the same in every version of HTTP. */
export const offerChecks: readonly Check[] = [
  comesFromAllowedOrigin,
  offersWellFormedProtocols,
  offersWellFormedExtensions,
];

/** The checks of RFC 6455 section 4.2.1 and 4.2.2, in the order in which they are made: the first that fails answers. */
const checks: readonly Check[] = [
  isGet,
  isHttp11,
  namesHost,
  upgradesToWebSocket,
  listsUpgradeInConnection,
  hasNoBody,
  speaksVersion13,
  hasKey,
  ...offerChecks,
];

/** Decides what an opening handshake gets. It answers nothing itself. */
export function checkHandshake(request: UpgradeRequest, options: ServerHandshakeOptions = {}): Accepted | Refusal {
  return (
    firstRefusal(checks, request, options) ??
    accept(request, options, acceptKey(request.headers["sec-websocket-key"] as string))
  );
}

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

/** For a request that passed its checks: chooses among its offers. */
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

function isHttp11({ httpVersionMajor, httpVersionMinor }: UpgradeRequest): Refusal | undefined {
  if (httpVersionMajor > 1 || (httpVersionMajor === 1 && httpVersionMinor >= 1)) return undefined;
  return refuse(400, "A WebSocket handshake needs HTTP/1.1.");
}

export function namesHost({ headers }: UpgradeRequest): Refusal | undefined {
  return headers.host ? undefined : refuse(400, "The Host header is missing.");
}

function upgradesToWebSocket({ headers }: UpgradeRequest): Refusal | undefined {
  if (hasMember(headers.upgrade, "websocket")) return undefined;
  return refuse(426, "This address speaks WebSocket: send Upgrade: websocket.", { Upgrade: "websocket" });
}

function listsUpgradeInConnection({ headers }: UpgradeRequest): Refusal | undefined {
  if (hasMember(headers.connection, "upgrade")) return undefined;
  return refuse(400, "The Connection header must list Upgrade.");
}

/** Newer Nodes give no raw socket for an upgrade with a body, and a handshake has no use for one. */
export function hasNoBody({ headers }: UpgradeRequest): Refusal | undefined {
  if (headers["transfer-encoding"] === undefined && Number(headers["content-length"] ?? 0) === 0) return undefined;
  return refuse(400, "A WebSocket handshake has no body.");
}

function speaksVersion13({ headers }: UpgradeRequest): Refusal | undefined {
  if (headers["sec-websocket-version"] === "13") return undefined;
  return refuse(426, "The only Sec-WebSocket-Version spoken here is 13.", {
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
  });
}

/** 16 bytes in base64: 21 characters of 6 bits, one that carries the last 2, and the padding. */
const KEY = /^[+/0-9A-Za-z]{21}[AQgw]==$/;

function hasKey({ headers }: UpgradeRequest): Refusal | undefined {
  const key = headers["sec-websocket-key"];
  if (key === undefined) return refuse(400, "The Sec-WebSocket-Key header is missing.");
  return KEY.test(key) ? undefined : refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64.");
}

/** Browsers always name the page's origin and programs need not, so no Origin is not a foreign one (RFC 6455 section 10.2). */
function comesFromAllowedOrigin({ headers }: UpgradeRequest, { origins }: ServerHandshakeOptions): Refusal | undefined {
  const { origin } = headers;
  if (origins === undefined || origin === undefined || origins.includes(origin.toLowerCase())) return undefined;
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

/** The first offer that we speak: the client lists them by preference (RFC 6455 section 4.1). */
function chooseProtocol({ headers }: UpgradeRequest, { protocols = [] }: ServerHandshakeOptions): string {
  if (protocols.length === 0) return "";
  return listMembers(headers["sec-websocket-protocol"] ?? "").find((offer) => protocols.includes(offer)) ?? "";
}

/** A header that breaks the grammar fails the handshake (RFC 6455 section 9.1); parameters that make no sense don't. */
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

export function refuse(status: number, reason: string, headers?: Readonly<Record<string, string>>): Refusal {
  return { ok: false, status, reason, ...(headers && { headers }) };
}
