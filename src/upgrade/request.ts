import { type ClientRequest, type IncomingMessage, type RequestOptions, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../errors.ts";
import { abandonedError, Exchange, refusedError } from "./on-upgrade.ts";
import type { Upgraded } from "./upgraded.ts";

/** What both client calls take; the rest of `node:http`'s request options (`ca`, `agent`, `createConnection`, …) goes through. */
export interface UpgradeRequestOptions extends Omit<RequestOptions, "method" | "path" | "host" | "hostname" | "port"> {
  readonly headers?: Readonly<Record<string, string>>;
}

/** A client's exchange that has been answered. */
export interface AnsweredUpgrade {
  /** 101 or 2xx after which HTTP is over; any other answer has its body to read. */
  readonly response: IncomingMessage;
  /** The same as `onUpgrade(response)`. */
  readonly upgraded: Promise<Upgraded>;
}

/**
 * Asks the server of an `http:` or `https:` URL to switch to another protocol.
 *
 * @param protocol value of the Upgrade header, such as `foobar`
 *
 * Resolves with any answer, and rejects when there is none: with the socket's error, or the signal's reason.
 */
export function requestUpgrade(
  url: URL | string,
  protocol: string,
  options: UpgradeRequestOptions = {},
): Promise<AnsweredUpgrade> {
  const target = new URL(url);
  const headers = { ...options.headers, Connection: "Upgrade", Upgrade: protocol };
  return exchange(startRequest(target, { ...options, headers, path: target.pathname + target.search }), (response) => {
    const got = response.headers.upgrade;
    if (response.statusCode === 101 && got?.toLowerCase() === protocol.toLowerCase()) return undefined;
    return new SwitchboardError(
      "protocol",
      "ERR_UPGRADE_MISMATCH",
      `asked for ${protocol}, and the server switched to ${got ?? "nothing"}`,
    );
  });
}

/**
 * Opens a tunnel through a proxy by CONNECT.
 *
 * @param proxy `http:` or `https:` URL; its user and password become a Proxy-Authorization
 * @param authority where the tunnel leads: `example.com:443`
 */
export function openTunnel(
  proxy: URL | string,
  authority: string,
  options: UpgradeRequestOptions = {},
): Promise<AnsweredUpgrade> {
  const target = new URL(proxy);
  const headers: Record<string, string> = { ...options.headers, Host: authority };
  if (target.username !== "") {
    const credentials = `${decodeURIComponent(target.username)}:${decodeURIComponent(target.password)}`;
    headers["Proxy-Authorization"] = `Basic ${Buffer.from(credentials).toString("base64")}`;
  }
  return exchange(startRequest(target, { ...options, headers, method: "CONNECT", path: authority }), () => undefined);
}

function startRequest(target: URL, options: RequestOptions): ClientRequest {
  if (target.protocol !== "http:" && target.protocol !== "https:") {
    const message = `an upgrade is asked of an http: or https: URL, got ${target.protocol}`;
    throw new SwitchboardError("configuration", "ERR_URL_SCHEME", message);
  }
  const hostname = target.hostname.replace(/^\[|\]$/g, "");
  const request = target.protocol === "https:" ? requestHttps : requestHttp;
  return request({ agent: false, ...options, hostname, port: target.port });
}

/** Waits for the answer; `check` says what is wrong with a switch that happened. */
function exchange(
  request: ClientRequest,
  check: (response: IncomingMessage) => Error | undefined,
): Promise<AnsweredUpgrade> {
  return new Promise((resolve, reject) => {
    const onSwitch = (response: IncomingMessage, socket: Duplex, head: Buffer): void => {
      const exchange = new Exchange(response);
      const status = response.statusCode ?? 0;
      const wrong =
        request.method === "CONNECT" && (status < 200 || status > 299) ? refusedError(status) : check(response);
      if (wrong === undefined) {
        exchange.succeed(socket, head);
      } else {
        exchange.fail(wrong);
        socket.on("error", () => {}).destroy();
      }
      resolve({ response, upgraded: exchange.upgraded });
    };
    request.on("upgrade", onSwitch).on("connect", onSwitch);
    request.on("response", (response) => {
      const exchange = new Exchange(response);
      exchange.fail(refusedError(response.statusCode ?? 0));
      resolve({ response, upgraded: exchange.upgraded });
    });
    request.on("error", reject);
    request.on("close", () => reject(abandonedError()));
    request.end();
  });
}
