/** The HTTP servers of a server: for clients, and for the API, health and metrics. `server.ts` makes them. */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import { builtins } from "../../../wire/node-internals/builtins.ts";
import type { ServerConfig } from "../../config/config.ts";
import { certificateOf } from "./certificate.ts";

/** Answers a request, or returns false. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Time for requests that are under way when a server closes, in ms. */
const REQUESTS_END_MS = 1_000;

/** Returns the path of a request, without its query. */
export function pathOf({ url = "" }: IncomingMessage): string {
  const mark = url.indexOf("?");
  return mark === -1 ? url : url.slice(0, mark);
}

/**
 * Returns a server that doesn't listen yet. The first handler that takes a request answers it; other requests get 404.
 */
export async function createServer(
  handlers: readonly Handler[],
  tls?: ServerConfig["httpServer"]["tls"],
): Promise<Server> {
  const listener: RequestListener = (request, response) => {
    if (handlers.some((handle) => handle(request, response))) return;
    response.writeHead(404, { "Content-Type": "text/plain" });
    response.end("not found\n");
  };
  return tls === undefined
    ? builtins.http.createServer(listener)
    : builtins.https.createServer(await certificateOf(tls), listener);
}

/** Closes a server. Requests under way have a second. */
export async function closeServer(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), REQUESTS_END_MS);
  await closed;
  clearTimeout(timer);
}
