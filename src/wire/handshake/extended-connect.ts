import {
  type Accepted,
  accept,
  type Check,
  firstRefusal,
  hasNoBody,
  namesHost,
  offerChecks,
  type Refusal,
  refuse,
  type ServerHandshakeOptions,
  type UpgradeRequest,
} from "./server.ts";

/** What takes the place of the checks of `Upgrade`, `Connection` and `Sec-WebSocket-Key`, which HTTP/2 has no use for. */
const checks: readonly Check[] = [isConnect, namesHost, hasNoBody, speaksVersion13, ...offerChecks];

/**
 * Decides what the opening handshake of a WebSocket over HTTP/2 gets. The request's `:authority` is looked for as its `Host`; that its
 * `:protocol` is `websocket` is how it was recognised.
 *
 * Source: RFC 8441 section 5.
 */
export function checkExtendedConnect(
  request: UpgradeRequest,
  options: ServerHandshakeOptions = {},
): Accepted | Refusal {
  return firstRefusal(checks, request, options) ?? accept(request, options, "");
}

function isConnect({ method }: UpgradeRequest): Refusal | undefined {
  if (method === "CONNECT") return undefined;
  return refuse(405, "A WebSocket handshake over HTTP/2 is a CONNECT request.", { Allow: "CONNECT" });
}

/** Not 426 as in HTTP/1.1: that must be sent with an Upgrade header, which HTTP/2 forbids (RFC 9113 section 8.2.2). */
function speaksVersion13({ headers }: UpgradeRequest): Refusal | undefined {
  if (headers["sec-websocket-version"] === "13") return undefined;
  return refuse(400, "The only Sec-WebSocket-Version spoken here is 13.", { "Sec-WebSocket-Version": "13" });
}
