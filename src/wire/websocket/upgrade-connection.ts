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
  /** Pages that may connect, by their Origin header. Default: all. Programs that send no Origin are let in. */
  readonly origins?: Origins;
}

/** What a request becomes. */
export interface UpgradedConnection {
  /** 101, or 400, 403, 405 or 426 with a sentence that says what is wrong: for returning from an `UpgradeService`. */
  readonly response: UpgradeAnswer;
  /** Resolves when the 101 has left. Rejects, also with nobody looking, when that never happens. */
  readonly websocket: Promise<WebSocket>;
}

const checks = {
  ...webSocketChecks,
  protocols: listOf("subprotocol names (tokens)", isToken),
  origins: originsCheck,
};

/**
 * Makes a WebSocket of a request that `serveUpgrades` or `answerUpgrade` serves, without waiting for anything: the
 * answer for the request's service, and a promise of what follows it. An object, for destructuring by name.
 *
 * `websocket` rejects with `ERR_HANDSHAKE_REFUSED` for a bad handshake, and as `onUpgrade` does when another answer is
 * given or the peer leaves. Throws `ERR_ARGUMENT` for what is no request, `ERR_OPTION` for a wrong option, what a
 * function `origins` throws, and `ERR_ORIGINS` when that gives neither true nor false: 500, for a service that lets it
 * pass. Source: RFC 6455 section 4.2.
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

/** Whoever doesn't look isn't told. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
