/** The routes of a board: paths of attached servers, and upgrades that the user routes. `Switchboard` has one. */
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../../errors.ts";
import { pathMatcher } from "../../../wire/handshake/path.ts";
import { checkUpgrade } from "../../../wire/upgrade/arguments.ts";
import type { ActorName } from "../../connection/connection-host.ts";
import type { Acceptor } from "../acceptor.ts";
import { addRoute, removeRoute } from "./http1-route.ts";
import { type AnyHttp2Server, addHttp2Route, isHttp2Server, removeHttp2Route } from "./http2-route.ts";
import type { Route, RouteSettings } from "./route.ts";

/** Brings upgrades to the acceptor of the main thread. */
export class UpgradeRoutes {
  readonly #acceptor: Acceptor;
  /**
   * Returns true if the actor module of this name exports an `authorize`, which runs only for handshakes in the shards.
   */
  readonly #shardsAuthorize: (actor: ActorName) => boolean;
  readonly #routes: { readonly server: Server | AnyHttp2Server; readonly route: Route }[] = [];
  /** Checked routes of `handleUpgrade`, by their options object. */
  readonly #routesByOptions = new WeakMap<object, Route>();

  constructor(acceptor: Acceptor, shardsAuthorize: (actor: ActorName) => boolean) {
    this.#acceptor = acceptor;
    this.#shardsAuthorize = shardsAuthorize;
  }

  addRoute(server: Server | AnyHttp2Server, settings: RouteSettings): void {
    const route = this.#createRoute(settings);
    addRoute(server, route);
    if (isHttp2Server(server)) addHttp2Route(server, route);
    this.#routes.push({ server, route });
  }

  /** Removes the routes from one server, or from all. */
  removeRoutes(of?: Server | AnyHttp2Server): void {
    const removed = this.#routes.filter(({ server }) => of === undefined || server === of);
    for (const { server, route } of removed) {
      this.#routes.splice(
        this.#routes.findIndex((one) => one.route === route),
        1,
      );
      removeRoute(server, route);
      if (isHttp2Server(server)) removeHttp2Route(server, route);
    }
  }

  /**
   * Takes one upgrade that the user routes. `checkOptions` returns the settings of the options, and is called once for
   * each options object.
   */
  handleUpgrade<Options extends object>(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    options: Options,
    checkOptions: (options: Options) => RouteSettings,
  ): void {
    let route = this.#routesByOptions.get(options);
    if (route === undefined) {
      route = this.#createRoute(checkOptions(options));
      this.#routesByOptions.set(options, route);
    }
    checkUpgrade("handleUpgrade", request, socket, head);
    this.#acceptor.accept(request, socket, head, route.matches(request), route.settings);
  }

  #createRoute(settings: RouteSettings): Route {
    this.#checkAuthorize(settings);
    return { acceptor: this.#acceptor, settings, matches: pathMatcher(settings.path) };
  }

  /**
   * Refuses a route without `authorize` if its actor module exports one: that export runs only for handshakes in the
   * shards, so the route would be open by accident.
   */
  #checkAuthorize({ authorize, actor }: RouteSettings): void {
    if (authorize !== undefined || !this.#shardsAuthorize(actor)) return;
    const module = actor === undefined ? "the actor module" : `the actor module "${actor}"`;
    const message = `${module} exports authorize, which is asked only for handshakes in the shards; here, give authorize as an option (to let everybody in: () => ({ session: undefined }))`;
    throw new SwitchboardError("ERR_AUTHORIZE_IGNORED", message);
  }
}
