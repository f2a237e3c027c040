/**
 * The routes of boards on servers, of any version of HTTP. `http1-route.ts` and `http2-route.ts` listen to the servers.
 */
import type { IncomingMessage } from "node:http";
import type { Params } from "../../../runtime/actor/context/actor-context.ts";
import type { pathMatcher } from "../../../wire/handshake/path.ts";
import type { Acceptor } from "../acceptor.ts";
import type { HandshakeSettings } from "../acceptor-owner.ts";

/** The demands on the upgrades of one route, with its path. Default path: every path. */
export interface RouteSettings extends HandshakeSettings {
  readonly path?: string;
}

/** One path of one board on a server. */
export interface Route {
  readonly acceptor: Acceptor;
  readonly settings: HandshakeSettings;
  /** Returns the parameters of the path of a request for this route; undefined for any other request. */
  readonly matches: ReturnType<typeof pathMatcher>;
}

/** The first route that a request matches, with the parameters of its path. */
interface MatchedRoute {
  readonly route: Route;
  readonly params: Params;
}

export function findRoute(routes: readonly Route[], request: IncomingMessage): MatchedRoute | undefined {
  for (const route of routes) {
    const params = route.matches(request);
    if (params !== undefined) return { route, params };
  }
  return undefined;
}

/**
 * Finds the route that takes a request. Tells all other boards with a route for the request that it is taken: of two
 * boards with one path, only the first can have the upgrades.
 */
export function takeRoute(routes: readonly Route[], request: IncomingMessage): MatchedRoute | undefined {
  const found = findRoute(routes, request);
  if (found === undefined || routes.length === 1) return found;
  const told = new Set([found.route.acceptor]);
  for (const { acceptor, matches } of routes) {
    if (told.has(acceptor) || matches(request) === undefined) continue;
    told.add(acceptor);
    acceptor.upgradeTaken(request);
  }
  return found;
}

/** Time that other listeners have for a request that no route matches, in milliseconds: as long as a handshake. */
export function declineTimeoutMs(routes: readonly Route[]): number {
  return Math.max(0, ...routes.map(({ settings }) => settings.handshakeTimeoutMs));
}

interface RoutedServer {
  readonly routes: Route[];
  readonly detach: () => void;
}

/** The routes of all boards by server. One set of listeners per server serves all its routes. */
export class ServerRoutes<Server extends object> {
  readonly #attach: (server: Server, routes: readonly Route[]) => () => void;
  readonly #servers = new WeakMap<Server, RoutedServer>();

  /**
   * @param attach adds the listeners to a server that gets its first route, and returns a function that removes them
   */
  constructor(attach: (server: Server, routes: readonly Route[]) => () => void) {
    this.#attach = attach;
  }

  add(server: Server, route: Route): void {
    let routed = this.#servers.get(server);
    if (routed === undefined) {
      const routes: Route[] = [];
      routed = { routes, detach: this.#attach(server, routes) };
      this.#servers.set(server, routed);
    }
    routed.routes.push(route);
  }

  /** Removes a route. Leaves the server as it was when the route was its last. */
  remove(server: Server, route: Route): void {
    const routed = this.#servers.get(server);
    if (routed === undefined) return;
    routed.routes.splice(routed.routes.indexOf(route), 1);
    if (routed.routes.length > 0) return;
    this.#servers.delete(server);
    routed.detach();
  }
}
