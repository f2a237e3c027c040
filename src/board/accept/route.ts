import type { IncomingMessage, Server } from "node:http";
import type { Http2SecureServer, Http2Server } from "node:http2";
import type { Duplex } from "node:stream";
import type { Params } from "../../runtime/actor/actor.ts";
import { hasMember } from "../../wire/handshake/tokens.ts";
import { refuseUpgrade } from "../../wire/upgrade/response.ts";

/** One path of one board on a server. */
export interface Route {
  /** The path's parameters if this request is for the route. */
  match(request: IncomingMessage): Params | undefined;
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, params: Params): void;
}

/** Whatever has `upgrade` events; an HTTP/2 server for its connections of HTTP/1.1 (`allowHTTP1`). */
type UpgradingServer = Server | Http2Server | Http2SecureServer;

type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

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

/** Adds a route to any `node:http` server. What it doesn't match is left to other listeners, and gets 404 when there is none. */
export function addRoute(server: UpgradingServer, route: Route): void {
  let router = routers.get(server);
  if (router === undefined) {
    router = createRouter(server);
    routers.set(server, router);
    server.on("upgrade", router.listener);
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
    for (const route of routes) {
      const params = route.match(request);
      if (params !== undefined) return route.accept(request, socket, head, params);
    }
    if (server.listenerCount("upgrade") === 1) refuseUpgrade(socket, { status: 404 });
  };
  return { routes, listener, shouldUpgrade: (server as unknown as AskedServer).shouldUpgradeCallback };
}

/**
 * Having an `upgrade` listener must not take other requests from the server: some clients offer h2c with every request, and are served by the
 * server's own routes when nobody upgrades.
 */
function upgradeQuestion(server: UpgradingServer, { routes, shouldUpgrade }: Router): ShouldUpgrade {
  return (request) => {
    if (routes.some((route) => route.match(request) !== undefined)) return true;
    if (server.listenerCount("upgrade") > 1) return shouldUpgrade.call(server, request);
    return hasMember(request.headers.upgrade, "websocket");
  };
}
