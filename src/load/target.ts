/** Resolves the URL of the server, once per run. Every connection of the load uses the result. */
import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";

/** The server to connect to: a URL with its host name resolved. */
export interface Target {
  readonly secure: boolean;
  /** IP addresses of the server. Connections go to the first. */
  readonly addresses: readonly LookupAddress[];
  readonly port: number;
  /** Value of the Host header. */
  readonly host: string;
  /** Server name for TLS; undefined when the URL has an IP address. */
  readonly serverName: string | undefined;
  /** Path and query. */
  readonly path: string;
}

/** Resolves a URL. Rejects with the error of the DNS lookup. */
export async function resolveTarget(text: string): Promise<Target> {
  const url = new URL(text);
  const secure = url.protocol === "wss:";
  const name = url.hostname.replace(/^\[|\]$/g, "");
  return {
    secure,
    addresses: await lookup(name, { all: true }),
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    host: url.host,
    serverName: isIP(name) === 0 ? name : undefined,
    path: url.pathname + url.search,
  };
}
