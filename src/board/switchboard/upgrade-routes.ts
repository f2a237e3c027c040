/** The routes of a board: paths of attached servers, and upgrades that the user routes. */
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";
import { pathMatcher } from "../../wire/handshake/path.ts";
import { checkUpgrade } from "../../wire/upgrade/arguments.ts";
import type { Acceptor } from "../accept/acceptor.ts";
import { afterItsRead, Http2OpeningHandshake } from "../accept/http2-opening-handshake.ts";
import {
  type AnyHttp2Server,
  addHttp2Route,
  type Http2Route,
  isHttp2Server,
  removeHttp2Route,
} from "../accept/http2-route.ts";
import { addRoute, type Route, removeRoute } from "../accept/route.ts";
import { type AttachOptions, checkAttachOptions, type RouteSettings } from "./options/options.ts";

/** Options of a route, checked once. */
interface CheckedRoute {
  readonly settings: RouteSettings;
  readonly matches: ReturnType<typeof pathMatcher>;
}

/** Brings upgrades to the acceptor of the main thread. */
export class UpgradeRoutes {
  readonly #acceptor: Acceptor;
  /** True if the actor module exports an `authorize`, which runs only for handshakes in the shards. */
  readonly #shardsAuthorize: () => boolean;
  readonly #routes: { readonly server: Server | AnyHttp2Server; readonly route: Route & Http2Route }[] = [];
  /** Checked routes of `handleUpgrade`, by their options object. */
  readonly #entrances = new WeakMap<AttachOptions, CheckedRoute>();

  constructor(acceptor: Acceptor, shardsAuthorize: () => boolean) {
    this.#acceptor = acceptor;
    this.#shardsAuthorize = shardsAuthorize;
  }

  addRoute(server: Server | AnyHttp2Server, settings: RouteSettings): void {
    this.#checkAuthorize(settings);
    const matches = pathMatcher(settings.path);
    const route: Route & Http2Route = {
      handshakeTimeoutMs: settings.handshakeTimeoutMs,
      match: (request: IncomingMessage) => matches(request),
      accept: (request, socket, head, params, watch) =>
        this.#acceptor.accept(request, socket, head, params, settings, watch),
      acceptStream: (request, stream, params) =>
        afterItsRead(stream, () => this.#acceptor.open(new Http2OpeningHandshake(request, stream), params, settings)),
    };
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

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, options: AttachOptions): void {
    let entrance = this.#entrances.get(options);
    if (entrance === undefined) {
      const settings = checkAttachOptions(options, "handleUpgrade");
      this.#checkAuthorize(settings);
      entrance = { settings, matches: pathMatcher(settings.path) };
      this.#entrances.set(options, entrance);
    }
    checkUpgrade("handleUpgrade", request, socket, head);
    this.#acceptor.accept(request, socket, head, entrance.matches(request), entrance.settings);
  }

  /**
   * Refuses a route without `authorize` if the actor module exports one: that export runs only for handshakes in the
   * shards, so the route would be open by accident.
   */
  #checkAuthorize({ authorize }: RouteSettings): void {
    if (authorize !== undefined || !this.#shardsAuthorize()) return;
    const message =
      "the actor module's export authorize is asked only for handshakes in the shards; here, give authorize as an option (to let everybody in: () => ({ session: undefined }))";
    throw new SwitchboardError("ERR_AUTHORIZE_IGNORED", message);
  }
}
