/** Ends the connections of an HTTP server that is closed, without losing a request. Servers and boards use it. */
import type { Server as HttpServer, ServerResponse } from "node:http";
import { Server } from "node:net";
import { noop } from "../protocol/empty.ts";

/**
 * Time in ms in which an idle client may send one more request, whose answer asks the client to close the connection.
 */
const KEEP_IDLE_MS = 1_000;
/** Time in ms after which a connection that has become idle is closed, from then on. */
const CLOSE_IDLE_MS = 100;

/** A server that accepts no connection any more. */
export interface ClosingServer {
  /**
   * Begins to close idle connections, a second later. A second call does nothing.
   *
   * @param beforehand called each time before idle connections are closed, and ten times in the second before that
   */
  closeIdle(beforehand?: () => void): void;
}

/** Servers that were closed here, until they have closed or listen again. */
const closing = new WeakMap<Server, ClosingServer>();

/**
 * Closes a server. It accepts no connection from now on, and its answers say `Connection: close`. `server.close()`
 * would close idle connections at once, also those on which a request is on its way, and would keep a connection on
 * which request follows request. If the server listens again, its connections stay open.
 *
 * @param server for any other server than one of `node:http` and `node:https` this is `server.close()`
 */
export function closeWhenAnswered(server: Server): void {
  stopListening(server).closeIdle();
}

/** Closes a server like `closeWhenAnswered`, but its idle connections stay open until `closeIdle`. */
export function stopListening(server: Server): ClosingServer {
  const before = closing.get(server);
  if (before !== undefined) return before;
  const { closeIdleConnections } = server as Partial<HttpServer>;
  if (closeIdleConnections === undefined) {
    server.close();
    return { closeIdle: noop };
  }
  Server.prototype.close.call(server);
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const closeIdle = (beforehand: () => void = noop): void => {
    if (isOver || timer !== undefined) return;
    const startedAt = performance.now();
    timer = setInterval(() => {
      beforehand();
      if (performance.now() - startedAt >= KEEP_IDLE_MS) closeIdleConnections.call(server);
    }, CLOSE_IDLE_MS).unref();
  };
  server.prependListener("request", askToClose);
  const done = (): void => {
    isOver = true;
    clearInterval(timer);
    closing.delete(server);
    server.off("request", askToClose).off("close", done).off("listening", done);
  };
  server.on("close", done).on("listening", done);
  closing.set(server, { closeIdle });
  return { closeIdle };
}

function askToClose(_: unknown, response: ServerResponse): void {
  response.setHeader("Connection", "close");
}
