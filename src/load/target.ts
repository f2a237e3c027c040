/** Resolves the URL of the server, once per run. Every connection of the load uses the result. */
import type { LookupAddress } from "node:dns";
import * as dns from "node:dns/promises";
import { once } from "node:events";
import { connect, isIP } from "node:net";
import { noop } from "../wire/protocol/empty.ts";

/** The server to connect to: a URL with its host name resolved. */
export interface Target {
  readonly secure: boolean;
  /** IP address of the server. */
  readonly address: string;
  readonly port: number;
  /** Value of the Host header. */
  readonly host: string;
  /** Server name for TLS; undefined when the URL has an IP address. */
  readonly serverName: string | undefined;
  /** Path and query. */
  readonly path: string;
}

/** Looks up all addresses of a host name, as `lookup` of `node:dns/promises` does. */
type Lookup = (name: string, options: { all: true }) => Promise<LookupAddress[]>;

/** Time for finding the address that accepts connections. */
const PROBE_TIMEOUT_MS = 10_000;

/**
 * Resolves a URL. Rejects with the error of the DNS lookup.
 *
 * @param signal ends the search for an address that accepts connections; the first address is then used
 */
export async function resolveTarget(text: string, signal: AbortSignal, lookup: Lookup = dns.lookup): Promise<Target> {
  const url = new URL(text);
  const secure = url.protocol === "wss:";
  const name = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port);
  return {
    secure,
    address: await chooseAddress(await lookup(name, { all: true }), port, signal),
    port,
    host: url.host,
    serverName: isIP(name) === 0 ? name : undefined,
    path: url.pathname + url.search,
  };
}

/**
 * Chooses the first address that accepts a connection. Node tries the addresses in turn, in both families (RFC 8305).
 * One connection finds the address for the whole run, so that no connection of the load spends time on a dead address.
 * Returns the first address if none accepts: the connections of the load then report the reason.
 */
async function chooseAddress(addresses: LookupAddress[], port: number, signal: AbortSignal): Promise<string> {
  const [{ address: first } = { address: "" }] = addresses;
  if (addresses.length < 2) return first;
  const probe = connect({
    host: "target",
    lookup: (_name, _options, found) => found(null, addresses),
    port,
    autoSelectFamily: true,
  });
  try {
    await once(probe, "connect", { signal: AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]) });
    return probe.remoteAddress ?? first;
  } catch {
    return first;
  } finally {
    probe.on("error", noop);
    probe.destroy();
  }
}
