/** The server's side: makes a WebSocket of an upgrade request, without a board. */
import type { IncomingMessage } from "node:http";
import { SwitchboardError } from "../../errors.ts";
import { switchingHeaders } from "../handshake/answer.ts";
import { listOf } from "../handshake/option-check.ts";
import { normalizeOrigins, type Origins, originsCheck } from "../handshake/origins.ts";
import { checkHandshake, type Refusal, type ServerHandshakeOptions } from "../handshake/server.ts";
import { isToken } from "../handshake/tokens.ts";
import { checkRequest } from "../upgrade/arguments.ts";
import { onUpgrade } from "../upgrade/on-upgrade.ts";
import type { UpgradeAnswer } from "../upgrade/serve.ts";
import { checkOptions, type WebSocketOptions, webSocketChecks, webSocketSettings } from "./options.ts";
import { WebSocket } from "./websocket.ts";

export interface UpgradeConnectionOptions extends WebSocketOptions, Pick<ServerHandshakeOptions, "protocols"> {
  /** Pages that may connect, by their Origin header. Default: all. Requests without an Origin header are let in. */
  readonly origins?: Origins;
}

/** The answer to a request, and the WebSocket that follows it. */
export interface UpgradedConnection {
  /** Answer for an `UpgradeService` to return: 101, or 400, 403, 405 or 426 with a sentence that says what is wrong. */
  readonly response: UpgradeAnswer;
  /** Resolves when the 101 was sent. Rejects when that fails; a rejection that nobody handles is no error. */
  readonly websocket: Promise<WebSocket>;
}

const checks = {
  ...webSocketChecks,
  protocols: listOf("subprotocol names (tokens)", isToken),
  origins: originsCheck,
};

/**
 * Makes a WebSocket of a request that `serveUpgrades` or `answerUpgrade` serves. Returns at once: the answer, for the
 * service to return, and a promise of the WebSocket.
 *
 * The promise rejects with `ERR_HANDSHAKE_REFUSED` for an invalid handshake, and as `onUpgrade` does when the service
 * gives another answer or the peer leaves.
 *
 * Throws `ERR_ARGUMENT` for what is no request, `ERR_OPTION` for a wrong option, what a function `origins` throws, and
 * `ERR_ORIGINS` when it returns neither true nor false. A service that doesn't catch these answers with 500. Source:
 * RFC 6455 section 4.2.
 */
export function upgradeConnection(
  request: IncomingMessage,
  options: UpgradeConnectionOptions = {},
): UpgradedConnection {
  checkRequest("upgradeConnection", request);
  checkOptions("upgradeConnection", options, checks);
  const settings = webSocketSettings(options);
  const { protocols = [], origins } = options;
  const checked = checkHandshake(request, {
    protocols,
    ...(settings.compression && { compression: settings.compression }),
    ...(origins && { origins: normalizeOrigins(origins) }),
  });
  if (!checked.ok) return refused(checked);
  const { protocol, deflate } = checked;
  const extensions = deflate?.header ?? "";
  const agreement = { role: "server", protocol, extensions, deflate: deflate?.agreement } as const;
  const websocket = onUpgrade(request).then((upgraded) => new WebSocket(upgraded.downcast(), agreement, settings));
  return { response: { status: 101, headers: switchingHeaders(checked) }, websocket: quiet(websocket) };
}

function refused({ status, reason, headers = {} }: Refusal): UpgradedConnection {
  const error = new SwitchboardError("ERR_HANDSHAKE_REFUSED", `answered with ${status}: ${reason}`);
  return { response: { status, headers, body: `${reason}\n` }, websocket: quiet(Promise.reject(error)) };
}

/** Keeps a rejection that nobody handles from ending the process. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
