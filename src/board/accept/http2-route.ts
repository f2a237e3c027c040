import type { IncomingMessage } from "node:http";
import {
  type Http2SecureServer,
  type Http2Server,
  Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { Duplex } from "node:stream";
import type { Params } from "../../runtime/actor/actor.ts";
import { refuseStream, requestOf } from "./http2-opening-handshake.ts";

export type AnyHttp2Server = Http2Server | Http2SecureServer;

/** One path of one board on an HTTP/2 server. */
export interface Http2Route {
  /** How long other listeners have to take a WebSocket's stream that is on no path of the board, too. */
  readonly handshakeTimeoutMs: number;
  match(request: IncomingMessage): Params | undefined;
  acceptStream(request: IncomingMessage, stream: ServerHttp2Stream, params: Params): void;
}

type StreamListener = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
) => void;

/** All routes on a server, of whichever board. */
interface Router {
  readonly routes: Http2Route[];
  readonly streamed: StreamListener;
  readonly connected: (request: unknown, response: unknown) => void;
}

const routers = new WeakMap<AnyHttp2Server, Router>();

export function isHttp2Server(server: object): server is AnyHttp2Server {
  return "updateSettings" in server;
}

/**
 * Adds a route to any `node:http2` server, and lets its sessions know of extended CONNECT from the next one on. Streams that it doesn't
 * match are left to other listeners. One for a WebSocket gets 404 when there are none, or when none has answered it after
 * `handshakeTimeoutMs`.
 */
export function addHttp2Route(server: AnyHttp2Server, route: Http2Route): void {
  let router = routers.get(server);
  if (router === undefined) {
    router = createRouter(server);
    routers.set(server, router);
    server.updateSettings({ enableConnectProtocol: true });
    server.prependListener("stream", router.streamed);
    server.on("connect", router.connected);
  }
  router.routes.push(route);
}

export function removeHttp2Route(server: AnyHttp2Server, route: Http2Route): void {
  const router = routers.get(server);
  if (router === undefined) return;
  router.routes.splice(router.routes.indexOf(route), 1);
  if (router.routes.length > 0) return;
  routers.delete(server);
  server.off("stream", router.streamed);
  server.off("connect", router.connected);
}

function createRouter(server: AnyHttp2Server): Router {
  const routes: Http2Route[] = [];
  const taken = new WeakSet<ServerHttp2Stream>();

  const streamed: StreamListener = (stream, headers, _flags, rawHeaders) => {
    if (!isWebSocket(headers)) return;
    const request = requestOf(stream, headers, rawHeaders);
    if (request === undefined) return;
    for (const route of routes) {
      const params = route.match(request);
      if (params === undefined) continue;
      taken.add(stream);
      return route.acceptStream(request, stream, params);
    }
    if (server.listenerCount("stream") === 1) refuseStream(stream, { status: 404 });
    else refuseLater(stream, Math.max(0, ...routes.map(({ handshakeTimeoutMs }) => handshakeTimeoutMs)));
  };

  /** A server with a `request` listener answers each CONNECT with 405, ours too, unless somebody listens to this. */
  const connected = (request: unknown, response: unknown): void => {
    const alone = server.listenerCount("connect") === 1;
    if (response instanceof Http2ServerResponse) {
      const { stream } = response;
      if (!alone || stream === undefined || taken.has(stream)) return;
      const { headers } = request as { readonly headers: IncomingHttpHeaders };
      refuseStream(stream, isWebSocket(headers) ? { status: 404 } : { status: 405 });
    } else if (alone) {
      // HTTP/1.1, where Node closes the socket if nobody listens.
      (response as Duplex).destroy();
    }
  };
  return { routes, streamed, connected };
}

/** Answers with 404 what nobody has answered after this time. */
function refuseLater(stream: ServerHttp2Stream, timeoutMs: number): void {
  // What its error means is told by its close.
  stream.on("error", () => {});
  const timer = setTimeout(() => refuseStream(stream, { status: 404 }), timeoutMs);
  stream.once("close", () => clearTimeout(timer));
}

function isWebSocket(headers: IncomingHttpHeaders): boolean {
  return headers[":method"] === "CONNECT" && headers[":protocol"] === "websocket";
}
