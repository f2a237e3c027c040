/**
 * Gives the upgrades of a server to the boards that are attached to it, and declines the upgrades that nobody takes.
 * Used by `UpgradeRoutes` of the main thread.
 */
import type { IncomingMessage, Server } from "node:http";
import type { Http2SecureServer, Http2Server } from "node:http2";
import type { Duplex } from "node:stream";
import { isUpgradeIgnored, offersWebSocket } from "../../../wire/handshake/request-headers.ts";
import { replaceShouldUpgrade, type ShouldUpgrade } from "../../../wire/node-internals/http.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import { refuseUpgrade } from "../../../wire/upgrade/response.ts";
import { serveAsRequest } from "../../../wire/upgrade/serve-as-request.ts";
import { declineTimeoutMs, findRoute, type Route, ServerRoutes, takeRoute } from "./route.ts";
import { SocketWatch } from "./socket-watch.ts";

/** A server with `upgrade` events: an HTTP/2 server has them for its connections of HTTP/1.1 (`allowHTTP1`). */
type UpgradingServer = Server | Http2Server | Http2SecureServer;

/** The arguments of an `upgrade` event, with the watch that began in that event. */
interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly watch: SocketWatch;
}

const servers = new ServerRoutes<UpgradingServer>(attachTo);

/**
 * Adds a route to any `node:http` server. An upgrade that no route matches is left to other `upgrade` listeners. The
 * upgrade gets 404 when there are no others, or when none of them has touched the socket after `handshakeTimeoutMs`.
 */
export function addRoute(server: UpgradingServer, route: Route): void {
  servers.add(server, route);
}

export function removeRoute(server: UpgradingServer, route: Route): void {
  servers.remove(server, route);
}

function attachTo(server: UpgradingServer, routes: readonly Route[]): () => void {
  const listener = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    handleUpgrade(server, routes, { request, socket, head, watch: new SocketWatch(request, socket) });
  };
  const restore = replaceShouldUpgrade(server, (before) => shouldUpgradeWith(server, routes, before));
  // This listener runs first, to see what other listeners do with the socket.
  server.prependListener("upgrade", listener);
  return () => {
    server.off("upgrade", listener);
    restore();
  };
}

function handleUpgrade(server: UpgradingServer, routes: readonly Route[], upgrade: Upgrade): void {
  if (!hasOtherListeners(server)) {
    if (!acceptOn(routes, upgrade)) void decline(server, routes, upgrade);
    return;
  }
  // The answer waits until all listeners were called: one of them may take the socket at once.
  process.nextTick(() => {
    upgrade.watch.endTurn();
    if (!acceptOn(routes, upgrade)) declineLater(server, routes, upgrade);
  });
}

/** Gives an upgrade to the acceptor of the first route that matches. Returns false when none does. */
function acceptOn(routes: readonly Route[], { request, socket, head, watch }: Upgrade): boolean {
  if (!offersWebSocket(request)) return false;
  const found = takeRoute(routes, request);
  if (found === undefined) return false;
  const { route, params } = found;
  route.acceptor.accept(request, socket, head, params, route.settings, watch);
  return true;
}

/** Declines an upgrade that other listeners leave alone. They have as much time for it as a handshake on a route. */
function declineLater(server: UpgradingServer, routes: readonly Route[], upgrade: Upgrade): void {
  const { socket, watch } = upgrade;
  if (watch.isTaken) return;
  // Without any error listener, a peer that resets its connection would end the process.
  socket.on("error", noop);
  const timer = setTimeout(() => {
    socket.off("error", noop);
    if (!watch.isTaken) void decline(server, routes, upgrade);
  }, declineTimeoutMs(routes));
  socket.once("close", () => clearTimeout(timer));
}

/** Answers an upgrade that nobody takes: to a WebSocket with 404, to any other protocol as a plain request. */
async function decline(server: UpgradingServer, routes: readonly Route[], upgrade: Upgrade): Promise<void> {
  const { request, socket, head, watch } = upgrade;
  socket.on("error", noop);
  const timer = setTimeout(() => socket.destroy(), declineTimeoutMs(routes));
  await watch.earlierResponses;
  clearTimeout(timer);
  if (socket.destroyed || socket.writableEnded || watch.isTaken) return;
  if (offersWebSocket(request) || !isUnread(request, socket)) return refuseUpgrade(socket, { status: 404 });
  socket.off("error", noop);
  serveAsRequest(server, request, socket, head);
}

/**
 * True when nothing of the request's body was read. Newer Nodes read a body first, or give the listeners a stream in
 * place of the socket.
 */
function isUnread(request: IncomingMessage, socket: Duplex): boolean {
  return request.socket === socket && request.readableLength === 0;
}

function hasOtherListeners(server: UpgradingServer): boolean {
  return server.listenerCount("upgrade") > 1;
}

/**
 * Makes the server's answer to Node whether a request is an upgrade. An `upgrade` listener must not take other requests
 * from the server: a request for another protocol is served as if it had no Upgrade header, unless other listeners want
 * it. Node before 22.21 and 24.9 doesn't ask: there, such requests come to `decline`.
 *
 * When the answer is no, Node drops what it read behind the request, such as a second request in the same write.
 *
 * @param before the server's answer before it had routes
 */
function shouldUpgradeWith(server: UpgradingServer, routes: readonly Route[], before: ShouldUpgrade): ShouldUpgrade {
  return (request) => {
    const isWebSocket = offersWebSocket(request);
    if (isWebSocket && findRoute(routes, request) !== undefined) return true;
    if (!hasOtherListeners(server)) return isWebSocket;
    return !isUpgradeIgnored(request) && before(request);
  };
}
