/** Ends the connections of an HTTP server that is closed, without losing a request. Servers and boards use it. */
import type { Server as HttpServer, ServerResponse } from "node:http";
import { Server } from "node:net";

/**
 * Time in ms in which an idle client may send one more request, whose answer asks the client to close the connection.
 */
const KEEP_IDLE_MS = 1_000;
/** Time in ms after which a connection that has become idle is closed, from then on. */
const CLOSE_IDLE_MS = 100;

/**
 * Closes a server. It accepts no connection from now on, and its answers say `Connection: close`. `server.close()`
 * would close idle connections at once, also those on which a request is on its way, and would keep a connection on
 * which request follows request. If the server listens again, its connections stay open.
 *
 * @param server for any other server than one of `node:http` and `node:https` this is `server.close()`
 */
export function closeWhenAnswered(server: Server): void {
  const { closeIdleConnections } = server as Partial<HttpServer>;
  if (closeIdleConnections === undefined) {
    server.close();
    return;
  }
  Server.prototype.close.call(server);
  const startedAt = performance.now();
  const closeIdle = (): void => {
    if (performance.now() - startedAt >= KEEP_IDLE_MS) closeIdleConnections.call(server);
  };
  const timer = setInterval(closeIdle, CLOSE_IDLE_MS).unref();
  server.prependListener("request", askToClose);
  const done = (): void => {
    clearInterval(timer);
    server.off("request", askToClose).off("close", done).off("listening", done);
  };
  server.on("close", done).on("listening", done);
}

function askToClose(_: unknown, response: ServerResponse): void {
  response.setHeader("Connection", "close");
}
