/** Gives the upgrades of a server to the boards that are attached to it, and sees to those that nobody takes. */
import type { IncomingMessage, Server } from "node:http";
import type { Http2SecureServer, Http2Server } from "node:http2";
import type { Duplex } from "node:stream";
import type { Params } from "../../runtime/actor/actor.ts";
import { isUpgradeIgnored, offersWebSocket } from "../../wire/handshake/request-headers.ts";
import { refuseUpgrade } from "../../wire/upgrade/response.ts";
import { serveAsRequest } from "../../wire/upgrade/serve-as-request.ts";
import { SocketWatch } from "./socket-watch.ts";

/** One path of one board on a server. */
export interface Route {
  /** How long other listeners have to take an upgrade that is on no path of the board, too. */
  readonly handshakeTimeoutMs: number;
  /** The path's parameters if this request is for the route. */
  match(request: IncomingMessage): Params | undefined;
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, params: Params, watch: SocketWatch): void;
}

/** Whatever has `upgrade` events; an HTTP/2 server for its connections of HTTP/1.1 (`allowHTTP1`). */
type UpgradingServer = Server | Http2Server | Http2SecureServer;

type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** The arguments of an `upgrade` event. */
interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly watch: SocketWatch;
}

/** All routes on a server, of whichever board, behind one `upgrade` listener, so that it is known when a request is for none. */
interface Router {
  readonly routes: Route[];
  readonly listener: UpgradeListener;
  /** The server's own answer to whether a request with an Upgrade header is one, before there were routes. */
  readonly shouldUpgrade: ShouldUpgrade;
}

type ShouldUpgrade = (request: IncomingMessage) => boolean;

/** Node asks a server this for each request with an Upgrade header; its types know it only as an option of `createServer`. */
interface AskedServer {
  shouldUpgradeCallback: ShouldUpgrade;
}

const routers = new WeakMap<UpgradingServer, Router>();

/**
 * Adds a route to any `node:http` server. An upgrade that no route matches is left to other `upgrade` listeners. When there are none, or
 * when none of them has touched the socket after `handshakeTimeoutMs`, it gets 404.
 */
export function addRoute(server: UpgradingServer, route: Route): void {
  let router = routers.get(server);
  if (router === undefined) {
    router = createRouter(server);
    routers.set(server, router);
    // First, to see what other listeners do with the socket.
    server.prependListener("upgrade", router.listener);
    (server as unknown as AskedServer).shouldUpgradeCallback = upgradeQuestion(server, router);
  }
  router.routes.push(route);
}

export function removeRoute(server: UpgradingServer, route: Route): void {
  const router = routers.get(server);
  if (router === undefined) return;
  router.routes.splice(router.routes.indexOf(route), 1);
  if (router.routes.length > 0) return;
  routers.delete(server);
  server.off("upgrade", router.listener);
  (server as unknown as AskedServer).shouldUpgradeCallback = router.shouldUpgrade;
}

function createRouter(server: UpgradingServer): Router {
  const routes: Route[] = [];
  const listener: UpgradeListener = (request, socket, head) => {
    const upgrade: Upgrade = { request, socket, head, watch: new SocketWatch(request, socket) };
    if (!hasOtherListeners(server)) {
      if (!acceptOn(routes, upgrade)) void decline(server, routes, upgrade);
      return;
    }
    // Nothing is answered before all listeners were called: one of them may take the socket at once.
    process.nextTick(() => {
      upgrade.watch.endTurn();
      if (!acceptOn(routes, upgrade)) declineLater(server, routes, upgrade);
    });
  };
  return { routes, listener, shouldUpgrade: (server as unknown as AskedServer).shouldUpgradeCallback };
}

/** Gives an upgrade to the first route that matches. False: none does. */
function acceptOn(routes: readonly Route[], { request, socket, head, watch }: Upgrade): boolean {
  if (!offersWebSocket(request)) return false;
  for (const route of routes) {
    const params = route.match(request);
    if (params === undefined) continue;
    route.accept(request, socket, head, params, watch);
    return true;
  }
  return false;
}

/** Declines an upgrade that other listeners leave alone. They have as much time for it as a handshake on a route. */
function declineLater(server: UpgradingServer, routes: readonly Route[], upgrade: Upgrade): void {
  const { socket, watch } = upgrade;
  if (watch.isTaken) return;
  // Nobody else may listen, and then a peer that resets its connection would end the process.
  socket.on("error", ignore);
  const timer = setTimeout(() => {
    socket.off("error", ignore);
    if (!watch.isTaken) void decline(server, routes, upgrade);
  }, timeoutOf(routes));
  socket.once("close", () => clearTimeout(timer));
}

/** Answers an upgrade that nobody takes: one to a WebSocket with 404, any other as the server answers a plain request. */
async function decline(server: UpgradingServer, routes: readonly Route[], upgrade: Upgrade): Promise<void> {
  const { request, socket, head, watch } = upgrade;
  socket.on("error", ignore);
  const timer = setTimeout(() => socket.destroy(), timeoutOf(routes));
  await watch.earlierResponses;
  clearTimeout(timer);
  if (socket.destroyed || socket.writableEnded || watch.isTaken) return;
  if (offersWebSocket(request) || !isUnread(request, socket)) return refuseUpgrade(socket, { status: 404 });
  socket.off("error", ignore);
  serveAsRequest(server, request, socket, head);
}

/** Whether nothing of the request's body was read. Newer Nodes read a body first, or give the listeners a stream in place of the socket. */
function isUnread(request: IncomingMessage, socket: Duplex): boolean {
  return request.socket === socket && request.readableLength === 0;
}

function hasOtherListeners(server: UpgradingServer): boolean {
  return server.listenerCount("upgrade") > 1;
}

function timeoutOf(routes: readonly Route[]): number {
  return Math.max(0, ...routes.map(({ handshakeTimeoutMs }) => handshakeTimeoutMs));
}

/**
 * Having an `upgrade` listener must not take other requests from the server: it serves those that ask for another protocol as if they didn't,
 * unless other listeners want them. Node before 22.21 and 24.9 doesn't ask: there, such requests come to `decline`.
 */
function upgradeQuestion(server: UpgradingServer, { routes, shouldUpgrade }: Router): ShouldUpgrade {
  return (request) => {
    const isOurs = offersWebSocket(request);
    if (isOurs && routes.some((route) => route.match(request) !== undefined)) return true;
    if (!hasOtherListeners(server)) return isOurs;
    return !isUpgradeIgnored(request) && shouldUpgrade.call(server, request);
  };
}

function ignore(): void {}
