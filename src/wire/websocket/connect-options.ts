import type { ConnectionOptions as TlsConnectionOptions } from "node:tls";
import { SwitchboardError } from "../../errors.ts";
import { integer, listOf, optionError } from "../handshake/option-check.ts";
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

/** What of node:tls goes through to a wss: server. */
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
  /** Request headers to add. Those of the handshake itself can't be set. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Subprotocols that we speak, the preferred one first. Default: none. */
  readonly protocols?: readonly string[];
  /** Ends the attempt; once there is a WebSocket it has no effect. */
  readonly signal?: AbortSignal;
  /** What everything up to the WebSocket may take: proxy, TLS and redirects included. Default: 10 s. */
  readonly handshakeTimeoutMs?: number;
  /**
   * How many redirects to follow. Never from wss: to ws:. What another origin gets has neither `headers` nor the URL's
   * user nor a client certificate. Default: 0.
   */
  readonly maxRedirects?: number;
  /**
   * An http: or https: proxy to go through by CONNECT; false for none. Default: what the environment says
   * (`proxyFromEnvironment`).
   */
  readonly proxy?: URL | string | false;
  /** For wss: servers. An https: proxy gets the `ca` of it. */
  readonly tls?: TlsOptions;
}

export interface ConnectSettings {
  readonly webSocket: WebSocketSettings;
  readonly headers: Readonly<Record<string, string>>;
  readonly protocols: readonly string[];
  readonly signal: AbortSignal | undefined;
  readonly handshakeTimeoutMs: number;
  readonly maxRedirects: number;
  /** Undefined: as the environment says. */
  readonly proxy: URL | false | undefined;
  readonly tls: TlsOptions;
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null;

const checks = {
  ...webSocketChecks,
  headers: {
    takes: "an object of strings",
    accepts: (value: unknown) =>
      isObject(value) && Object.values(value as object).every((one) => typeof one === "string"),
  },
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

/** Ours to say: the handshake would be another one, or none. */
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

/** The http: or https: URL of a ws: or wss: one; throws `ERR_URL` for any other. Source: RFC 6455 section 3. */
export function parseTarget(url: URL | string): URL {
  const target = URL.parse(String(url));
  if (target === null) throw urlError("it can't be parsed");
  if (target.hash !== "") throw urlError("it has a fragment");
  if (target.protocol === "ws:") target.protocol = "http:";
  if (target.protocol === "wss:") target.protocol = "https:";
  if (target.protocol !== "http:" && target.protocol !== "https:") throw urlError(`its scheme is ${target.protocol}`);
  return target;
}

export function urlError(why: string): SwitchboardError {
  return new SwitchboardError("ERR_URL", `connect takes a ws: or wss: URL without a fragment; ${why}`);
}
