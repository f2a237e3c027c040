/** The options of `connect`, with their checks and defaults. */
import type { ConnectionOptions as TlsConnectionOptions } from "node:tls";
import { SwitchboardError } from "../../errors.ts";
import { integer, listOf, optionError, recordOf, show } from "../handshake/option-check.ts";
import { isToken } from "../handshake/tokens.ts";
import {
  checkOptions,
  timeout,
  type WebSocketOptions,
  type WebSocketSettings,
  webSocketChecks,
  webSocketSettings,
} from "./options.ts";
import { parseProxy } from "./proxy.ts";

/** The options of `node:tls` that `connect` passes on, for `wss:` servers. */
export type TlsOptions = Pick<
  TlsConnectionOptions,
  | "ca"
  | "cert"
  | "key"
  | "pfx"
  | "passphrase"
  | "rejectUnauthorized"
  | "servername"
  | "checkServerIdentity"
  | "ciphers"
  | "minVersion"
  | "maxVersion"
>;

export interface ConnectOptions extends WebSocketOptions {
  /** Request headers to add. The headers of the handshake itself can't be set. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Subprotocols that we speak, the preferred one first. Default: none. */
  readonly protocols?: readonly string[];
  /** Ends the attempt. Has no effect once the WebSocket is open. */
  readonly signal?: AbortSignal;
  /** Time for everything until the WebSocket is open, with proxy, TLS and redirects. Milliseconds. Default: 10,000. */
  readonly handshakeTimeoutMs?: number;
  /**
   * Number of redirects to follow, never from `wss:` to `ws:`. Another origin gets neither `headers`, nor the user of
   * the URL, nor the client certificate. Default: 0.
   */
  readonly maxRedirects?: number;
  /**
   * URL of an `http:` or `https:` proxy, which is asked for a tunnel by CONNECT. False: no proxy. Default: the proxy
   * that the environment names (`proxyFromEnvironment`).
   */
  readonly proxy?: URL | string | false;
  /** TLS of `wss:` servers. Its `ca` holds for an `https:` proxy, too. */
  readonly tls?: TlsOptions;
}

export interface ConnectSettings {
  readonly webSocket: WebSocketSettings;
  readonly headers: Readonly<Record<string, string>>;
  readonly protocols: readonly string[];
  readonly signal: AbortSignal | undefined;
  readonly handshakeTimeoutMs: number;
  readonly maxRedirects: number;
  /** Undefined: the proxy that the environment names. */
  readonly proxy: URL | false | undefined;
  readonly tls: TlsOptions;
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;

const checks = {
  ...webSocketChecks,
  headers: recordOf("strings", (_name, value) => typeof value === "string"),
  protocols: listOf("different subprotocol names (tokens)", isToken),
  signal: { takes: "an AbortSignal", accepts: (value: unknown) => value instanceof AbortSignal },
  handshakeTimeoutMs: timeout,
  maxRedirects: integer(0, 100),
  proxy: {
    takes: "the URL of an http: or https: proxy, or false",
    accepts: (value: unknown) => value === false || typeof value === "string" || value instanceof URL,
  },
  tls: { takes: "an object of node:tls options", accepts: isObject },
};

/** Headers that the handshake writes itself. */
const RESERVED = /^(connection|upgrade|content-length|transfer-encoding|expect|sec-websocket-.*)$/i;

export function checkConnectOptions(options: ConnectOptions): ConnectSettings {
  checkOptions("connect", options, checks);
  const {
    headers = {},
    protocols = [],
    signal,
    handshakeTimeoutMs = 10_000,
    maxRedirects = 0,
    proxy,
    tls = {},
  } = options;
  const reserved = Object.keys(headers).find((name) => RESERVED.test(name));
  if (reserved !== undefined) throw optionError(`connect: the header ${reserved} is the handshake's own`);
  if (new Set(protocols).size < protocols.length)
    throw optionError(`connect: protocols takes ${checks.protocols.takes}`);
  return {
    webSocket: webSocketSettings(options),
    headers,
    protocols,
    signal,
    handshakeTimeoutMs,
    maxRedirects,
    proxy: proxy === undefined || proxy === false ? proxy : parseProxy(proxy),
    tls,
  };
}

/**
 * Returns the `http:` or `https:` URL of a `ws:` or `wss:` URL. Throws `ERR_URL` for others. Source: RFC 6455 section
 * 3.
 */
export function parseTarget(url: URL | string): URL {
  const target = URL.parse(String(url));
  if (target === null) {
    // A text isn't shown: it may have a password.
    throw urlError(typeof url === "string" ? "this one can't be parsed" : `got ${show(url)}`);
  }
  if (target.hash !== "") throw urlError("it has a fragment");
  if (target.protocol === "ws:") target.protocol = "http:";
  if (target.protocol === "wss:") target.protocol = "https:";
  if (target.protocol !== "http:" && target.protocol !== "https:") throw urlError(`its scheme is ${target.protocol}`);
  return target;
}

export function urlError(why: string): SwitchboardError {
  return new SwitchboardError("ERR_URL", `connect takes a ws: or wss: URL without a fragment; ${why}`);
}
