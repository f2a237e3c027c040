/** The server's side of the opening handshake over HTTP/2. Used by a board's HTTP/2 route. */
import {
  type Accepted,
  accept,
  type Check,
  firstRefusal,
  hasNoBody,
  namesOneHost,
  offerChecks,
  type Refusal,
  refuse,
  repeatsNoHeader,
  type ServerHandshakeOptions,
  type UpgradeRequest,
} from "./server.ts";

/** The checks, in order. HTTP/2 has no `Upgrade`, `Connection` and `Sec-WebSocket-Key` to check. */
const checks: readonly Check[] = [isConnect, repeatsNoHeader, namesOneHost, hasNoBody, speaksVersion13, ...offerChecks];

/**
 * Checks the opening handshake of a WebSocket over HTTP/2. The caller passes `:authority` as the `Host` header, and has
 * recognised the request by its `:protocol`, `websocket`.
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

/**
 * Answers with 400 in place of HTTP/1.1's 426: a 426 needs an Upgrade header, which HTTP/2 forbids (RFC 9113 section
 * 8.2.2).
 */
function speaksVersion13({ headers }: UpgradeRequest): Refusal | undefined {
  if (headers["sec-websocket-version"] === "13") return undefined;
  return refuse(400, "The only supported Sec-WebSocket-Version is 13.", { "Sec-WebSocket-Version": "13" });
}
