import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";

/** Where connections go: a URL with its name resolved once for all of them. */
export interface Target {
  readonly secure: boolean;
  /** IP addresses, to be tried in this order. */
  readonly addresses: readonly LookupAddress[];
  readonly port: number;
  /** Host header. */
  readonly host: string;
  /** For TLS; undefined for an address. */
  readonly serverName: string | undefined;
  /** Path and query. */
  readonly path: string;
}

/** Rejects with the error of the resolver. */
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
