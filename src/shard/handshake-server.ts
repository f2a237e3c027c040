import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Duplex } from "node:stream";
import { pathMatcher } from "../handshake/path.ts";
import { refuseUpgrade } from "../upgrade/response.ts";
import { createContexts, type TlsSettings } from "./tls-settings.ts";

export interface HandshakeServerSettings {
  readonly path?: string;
  readonly handshakeTimeoutMs: number;
}

/**
 * The HTTP server of a port that is all ours: a request that isn't an upgrade gets 426 on the path and 404 elsewhere. It listens in the main
 * thread; in a shard it never does, and is given its sockets by its `connection` event.
 */
export function createHandshakeServer(settings: HandshakeServerSettings, tls?: TlsSettings): Server {
  const { handshakeTimeoutMs } = settings;
  const options = {
    headersTimeout: handshakeTimeoutMs,
    requestTimeout: handshakeTimeoutMs,
    connectionsCheckingInterval: Math.min(1_000, Math.ceil(handshakeTimeoutMs / 4)),
  };
  const answer = plainAnswers(settings.path);
  if (tls === undefined) return createServer(options, answer);
  const { requestCert = false, rejectUnauthorized = true } = tls;
  const { main, find } = createContexts(tls);
  return createTlsServer(
    {
      ...options,
      ...main,
      requestCert,
      rejectUnauthorized,
      ALPNProtocols: ["http/1.1"],
      SNICallback: (serverName, done) => done(null, find(serverName)),
    },
    answer,
  );
}

function plainAnswers(path: string | undefined): RequestListener {
  const matches = pathMatcher(path);
  return (request, response) => {
    const known = matches(request) !== undefined;
    response.writeHead(known ? 426 : 404, known ? { Upgrade: "websocket", Connection: "Upgrade" } : {}).end();
  };
}

/** Answers what could not be parsed as a request; gives the status. */
export function refuseUnparsed(socket: Duplex, { code }: NodeJS.ErrnoException): number {
  const status = code === "HPE_HEADER_OVERFLOW" ? 431 : code === "HPE_CHUNK_EXTENSIONS_OVERFLOW" ? 413 : 400;
  refuseUpgrade(socket, { status });
  return status;
}
