/** Which pages may connect, by the config. `server.ts` uses it for WebSockets and for clients without. */
import type { IncomingMessage } from "node:http";
import type { Origins } from "../../wire/handshake/origins.ts";

const LOCAL = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Returns undefined for all origins. An empty list allows the pages of the server's own host, and on the machine of a
 * developer, where the server is `localhost`, the pages of every port there.
 */
export function originsOf(allowed: readonly string[]): Origins | undefined {
  if (allowed.includes("*")) return undefined;
  return allowed.length === 0 ? isOwn : allowed;
}

function isOwn(origin: string, { headers }: IncomingMessage): boolean {
  const host = headers[":authority"] ?? headers.host;
  const page = URL.parse(origin);
  const server = typeof host === "string" ? URL.parse(`http://${host}`) : null;
  if (page === null || server === null) return false;
  if (LOCAL.includes(page.hostname) && LOCAL.includes(server.hostname)) return true;
  return page.host === String(host).toLowerCase();
}
