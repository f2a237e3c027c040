/**
 * Makes the `node:http` server that reads the requests of a port. Used by the main thread and by the shards, for the
 * handshakes that each of them does.
 */
import type { RequestListener, Server } from "node:http";
import { pathMatcher } from "../../wire/handshake/path.ts";
import { offersWebSocket } from "../../wire/handshake/request-headers.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import { createContexts, type TlsSettings } from "./tls-settings.ts";

export interface HandshakeServerSettings {
  readonly path?: string;
  readonly handshakeTimeoutMs: number;
}

/**
 * The HTTP server of a port that is all ours: a request that doesn't ask for a WebSocket gets 426 on the path and 404
 * elsewhere. It listens in the main thread; in a shard it never does, and is given its sockets by its `connection`
 * event.
 */
export function createHandshakeServer(settings: HandshakeServerSettings, tls?: TlsSettings): Server {
  const { handshakeTimeoutMs } = settings;
  const options = {
    headersTimeout: handshakeTimeoutMs,
    requestTimeout: handshakeTimeoutMs,
    connectionsCheckingInterval: Math.min(1_000, Math.ceil(handshakeTimeoutMs / 4)),
    // Node before 22.21 and 24.9 doesn't ask, and takes other offers for upgrades, too.
    shouldUpgradeCallback: offersWebSocket,
  };
  const answer = plainAnswers(settings.path);
  if (tls === undefined) return builtins.http.createServer(options, answer);
  const { requestCert = false, rejectUnauthorized = true } = tls;
  const { main, find } = createContexts(tls);
  return builtins.https.createServer(
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
