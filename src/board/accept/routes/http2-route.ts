/** Gives the WebSocket streams of an HTTP/2 server to the boards that are attached to it. Used by `UpgradeRoutes`. */
import type { Http2SecureServer, Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { builtins } from "../../../wire/node-internals/builtins.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import { afterItsRead, Http2OpeningHandshake, refuseStream, requestOf } from "../http2-opening-handshake.ts";
import { declineTimeoutMs, type Route, ServerRoutes, takeRoute } from "./route.ts";

/** A server of `node:http2`, with TLS or without. */
export type AnyHttp2Server = Http2Server | Http2SecureServer;

type StreamListener = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
) => void;

const servers = new ServerRoutes<AnyHttp2Server>(attachTo);

export function isHttp2Server(server: object): server is AnyHttp2Server {
  return "updateSettings" in server;
}

/**
 * Adds a route to any `node:http2` server. Announces extended CONNECT to the sessions that begin afterwards. A stream
 * that no route matches is left to other listeners. A WebSocket's stream gets 404 when there are no others, or when
 * none of them has answered it after `handshakeTimeoutMs`.
 */
export function addHttp2Route(server: AnyHttp2Server, route: Route): void {
  servers.add(server, route);
}

export function removeHttp2Route(server: AnyHttp2Server, route: Route): void {
  servers.remove(server, route);
}

function attachTo(server: AnyHttp2Server, routes: readonly Route[]): () => void {
  const accepted = new WeakSet<ServerHttp2Stream>();

  const handleStream: StreamListener = (stream, headers, _flags, rawHeaders) => {
    if (!isWebSocket(headers)) return;
    const request = requestOf(stream, headers, rawHeaders);
    if (request === undefined) return;
    const found = takeRoute(routes, request);
    if (found !== undefined) {
      const { acceptor, settings } = found.route;
      accepted.add(stream);
      afterItsRead(stream, () => acceptor.run(new Http2OpeningHandshake(request, stream), found.params, settings));
    } else if (server.listenerCount("stream") === 1) refuseStream(stream, { status: 404 });
    else refuseLater(stream, declineTimeoutMs(routes));
  };

  /**
   * Answers the CONNECT requests that are on no route. A server with a `request` listener and without a `connect`
   * listener answers every CONNECT with 405, also those on a route.
   */
  const handleConnect = (request: unknown, response: unknown): void => {
    const alone = server.listenerCount("connect") === 1;
    if (response instanceof builtins.http2.Http2ServerResponse) {
      const { stream } = response;
      if (!alone || stream === undefined || accepted.has(stream)) return;
      const { headers } = request as { readonly headers: IncomingHttpHeaders };
      refuseStream(stream, isWebSocket(headers) ? { status: 404 } : { status: 405 });
    } else if (alone) {
      // Over HTTP/1.1, Node closes the socket when nobody listens.
      (response as Duplex).destroy();
    }
  };

  server.updateSettings({ enableConnectProtocol: true });
  server.prependListener("stream", handleStream);
  server.on("connect", handleConnect);
  return () => {
    server.off("stream", handleStream);
    server.off("connect", handleConnect);
  };
}

/** Answers with 404 a stream that nobody has answered after `timeoutMs`. */
function refuseLater(stream: ServerHttp2Stream, timeoutMs: number): void {
  // The stream's close follows its error.
  stream.on("error", noop);
  const timer = setTimeout(() => refuseStream(stream, { status: 404 }), timeoutMs);
  stream.once("close", () => clearTimeout(timer));
}

function isWebSocket(headers: IncomingHttpHeaders): boolean {
  return headers[":method"] === "CONNECT" && headers[":protocol"] === "websocket";
}
