/** Private parts of `node:http`. The upgrades and the routes of attached servers use them. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

/**
 * Returns the response that a socket of a server is sending now; undefined when there is none. Source: `_httpMessage`,
 * which `assignSocket` and `detachSocket` set (`lib/_http_server.js`). Without it an upgrade doesn't wait for the
 * responses to earlier requests on its connection: they are lost or end up behind the 101.
 */
export function responseOn(socket: Duplex): ServerResponse | undefined {
  return (socket as { readonly _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;
}

/**
 * Returns the server that a socket speaks HTTP with; undefined for any other socket. Source: `socket.server`, which
 * `connectionListenerInternal` sets (`lib/_http_server.js`). Without it an upgrade that comes during a takeover can't
 * be passed on, and gets 503.
 */
export function serverOf(socket: Duplex): object | undefined {
  return (socket as { readonly server?: object | null }).server ?? undefined;
}

interface ConnectionsList {
  all(): readonly { readonly socket: Socket | null }[];
  idle(): readonly { readonly socket: Socket | null }[];
}

/**
 * Returns the sockets of a server of `node:http` on which no request is being read or answered. Source: the list of
 * parsers behind `closeIdleConnections`, under the symbol `http.server.connections` (`lib/_http_server.js`), which also
 * has the sockets that wait for their first request: as idle ones in Node 26, not in Node 24. Without the list, or for
 * any other server, there are none: after a takeover the old process closes idle sockets then.
 */
export function idleSocketsOf(server: object): Socket[] {
  const symbol = Object.getOwnPropertySymbols(server).find(
    ({ description }) => description === "http.server.connections",
  );
  const list = symbol && (server as { readonly [key: symbol]: Partial<ConnectionsList> | undefined })[symbol];
  const parsers = [...(list?.all?.() ?? []).filter(({ socket }) => socket?.bytesRead === 0), ...(list?.idle?.() ?? [])];
  const sockets = new Set(parsers.flatMap(({ socket }) => socket ?? []));
  return [...sockets].filter((socket) => responseOn(socket) === undefined && socket.writableLength === 0);
}

/** A server's answer to Node whether a request with an Upgrade header is an upgrade. */
export type ShouldUpgrade = (request: IncomingMessage) => boolean;

/**
 * Replaces a server's answer. Returns a function that restores the answer before. Source: `shouldUpgradeCallback`, an
 * option of `createServer` that Node keeps as a field of the server (`storeHTTPOptions` in `lib/_http_server.js`). A
 * Node without the field (before 22.21 and 24.9, or an HTTP/2 server without TLS) never calls the answer: there, each
 * offer becomes an `upgrade` event while the server has a listener for it.
 *
 * @param answerWith makes the new answer of the answer before
 */
export function replaceShouldUpgrade(server: object, answerWith: (before: ShouldUpgrade) => ShouldUpgrade): () => void {
  const owner = server as { shouldUpgradeCallback?: ShouldUpgrade | undefined };
  const before = owner.shouldUpgradeCallback;
  owner.shouldUpgradeCallback = answerWith((request) => before?.call(server, request) ?? true);
  return () => {
    owner.shouldUpgradeCallback = before;
  };
}
