import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import type { Params } from "../actor/actor.ts";
import { refuseUpgrade } from "../upgrade/response.ts";

/** One path of one board on a server. */
export interface Route {
  /** The path's parameters if this request is for the route. */
  match(request: IncomingMessage): Params | undefined;
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, params: Params): void;
}

type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** All routes on a server, of whichever board, behind one `upgrade` listener, so that it is known when a request is for none. */
interface Router {
  readonly routes: Route[];
  readonly listener: UpgradeListener;
}

const routers = new WeakMap<Server, Router>();

/** Adds a route to any `node:http` server. What it doesn't match is left to other listeners, and gets 404 when there is none. */
export function addRoute(server: Server, route: Route): void {
  let router = routers.get(server);
  if (router === undefined) {
    router = createRouter(server);
    routers.set(server, router);
    server.on("upgrade", router.listener);
  }
  router.routes.push(route);
}

export function removeRoute(server: Server, route: Route): void {
  const router = routers.get(server);
  if (router === undefined) return;
  router.routes.splice(router.routes.indexOf(route), 1);
  if (router.routes.length > 0) return;
  routers.delete(server);
  server.off("upgrade", router.listener);
}

function createRouter(server: Server): Router {
  const routes: Route[] = [];
  const listener: UpgradeListener = (request, socket, head) => {
    for (const route of routes) {
      const params = route.match(request);
      if (params !== undefined) return route.accept(request, socket, head, params);
    }
    if (server.listenerCount("upgrade") === 1) refuseUpgrade(socket, { status: 404 });
  };
  return { routes, listener };
}
