/** Which pages may connect, by the config. `server.ts` uses it for WebSockets and for clients without. */
import type { IncomingMessage } from "node:http";
import type { Origins } from "../../wire/handshake/origins.ts";

/** Returns undefined for all origins. An empty list allows the pages of the server's own host. */
export function originsOf(allowed: readonly string[]): Origins | undefined {
  if (allowed.includes("*")) return undefined;
  return allowed.length === 0 ? isOwn : allowed;
}

function isOwn(origin: string, { headers }: IncomingMessage): boolean {
  const host = headers[":authority"] ?? headers.host;
  return typeof host === "string" && URL.parse(origin)?.host === host.toLowerCase();
}
