/** The client calls `requestUpgrade` and `openTunnel`. `connect` of `switchboard/websocket` builds on both. */
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import type { RequestOptions as TlsRequestOptions } from "node:https";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";
import { builtins } from "../node-internals/builtins.ts";
import { checkProtocols, checkRequestOptions, checkUrl } from "./arguments.ts";
import { noop } from "./empty.ts";
import { abandonedError, Exchange, refusedError } from "./on-upgrade.ts";
import type { Upgraded } from "./upgraded.ts";

/**
 * The options of both client calls. `signal` abandons the request until there is an answer. There is no time limit by
 * default; `AbortSignal.timeout(5_000)` is one. All other options are those of `node:http`'s `request`: `ca`,
 * `socketPath`, `agent`, `createConnection`, `maxHeaderSize` and so on.
 */
export interface UpgradeRequestOptions
  extends Omit<TlsRequestOptions, "method" | "path" | "host" | "hostname" | "port" | "headers" | "timeout"> {
  readonly headers?: Readonly<Record<string, string>>;
}

/** A client's exchange that has been answered. */
export interface AnsweredUpgrade {
  /**
   * The answer. A 101, or a 2xx to CONNECT, ends HTTP. Any other answer has a body, and keeps its socket until the body
   * is read or destroyed; only a proxy's refusal comes without body and socket.
   */
  readonly response: IncomingMessage;
  /** The same as `onUpgrade(response)`. */
  readonly upgraded: Promise<Upgraded>;
}

/**
 * Asks the server of an `http:` or `https:` URL to switch to another protocol. User and password of the URL become an
 * Authorization header.
 *
 * @param protocol value of the Upgrade header: `foobar`, or a list such as `foobar/2, foobar/1` of which the server
 * chooses one
 *
 * Resolves with any answer. Rejects with `ERR_URL`, `ERR_URL_SCHEME` and `ERR_ARGUMENT` for wrong arguments, and when
 * there is no answer: with the error of the socket or of the parser (`HPE_HEADER_OVERFLOW` past `maxHeaderSize`, 16
 * KiB), or with the signal's reason. `upgraded` rejects with `ERR_UPGRADE_REFUSED` for an answer other than 101, and
 * with `ERR_UPGRADE_MISMATCH` for a 101 to another protocol.
 */
export async function requestUpgrade(
  url: URL | string,
  protocol: string,
  options: UpgradeRequestOptions = {},
): Promise<AnsweredUpgrade> {
  const target = checkUrl("requestUpgrade", url);
  checkProtocols("requestUpgrade", protocol);
  checkRequestOptions("requestUpgrade", options);
  const headers = { ...options.headers, Connection: "Upgrade", Upgrade: protocol };
  const auth = target.username === "" ? {} : { auth: credentials(target) };
  const request = startRequest(target, { ...auth, ...options, headers, path: target.pathname + target.search });
  return exchange(request, options.signal, (response) => checkSwitch(response, protocol));
}

/**
 * Opens a tunnel through a proxy by CONNECT.
 *
 * @param proxy `http:` or `https:` URL of the proxy; its user and password become a Proxy-Authorization header
 * @param authority host and port at the end of the tunnel: `example.com:443`, `[::1]:443`
 *
 * Resolves and rejects as `requestUpgrade` does, except that any 2xx opens the tunnel.
 */
export async function openTunnel(
  proxy: URL | string,
  authority: string,
  options: UpgradeRequestOptions = {},
): Promise<AnsweredUpgrade> {
  // CONNECT has no default port. Source: RFC 9110 section 9.3.6.
  if (!/^[^/@]+:\d+$/.test(authority)) {
    const message = `a tunnel leads to host:port, got ${JSON.stringify(authority)}`;
    throw new SwitchboardError("ERR_TUNNEL_AUTHORITY", message);
  }
  const target = checkUrl("openTunnel", proxy);
  checkRequestOptions("openTunnel", options);
  const headers: Record<string, string> = { ...options.headers, Host: authority };
  if (target.username !== "") {
    headers["Proxy-Authorization"] = `Basic ${Buffer.from(credentials(target)).toString("base64")}`;
  }
  const request = startRequest(target, { ...options, headers, method: "CONNECT", path: authority });
  return exchange(request, options.signal, ({ statusCode = 0 }) =>
    statusCode >= 200 && statusCode <= 299 ? undefined : refusedError(statusCode),
  );
}

function credentials({ username, password }: URL): string {
  return `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
}

function startRequest(target: URL, options: RequestOptions): ClientRequest {
  const hostname = target.hostname.replace(/^\[|\]$/g, "");
  const request = target.protocol === "https:" ? builtins.https.request : builtins.http.request;
  // An agent's pool is of no use, because the socket leaves HTTP. With any agent, Node would ignore createConnection.
  const agent = options.createConnection === undefined ? { agent: false } : {};
  return request({ ...agent, ...options, hostname, port: target.port });
}

/** Checks the answer to an upgrade request. Returns what is wrong with it. Source: RFC 9110 section 7.8. */
function checkSwitch({ statusCode = 0, headers }: IncomingMessage, asked: string): Error | undefined {
  if (statusCode !== 101) return refusedError(statusCode);
  const got = headers.upgrade?.toLowerCase();
  const tokens = headers.connection?.split(",").map((token) => token.trim().toLowerCase());
  const offers = asked.split(",").map((offer) => offer.trim().toLowerCase());
  if (got !== undefined && offers.includes(got) && tokens?.includes("upgrade")) return undefined;
  const message = `asked for ${asked}, got a 101 with Upgrade: ${got ?? ""}, Connection: ${headers.connection ?? ""}`;
  return new SwitchboardError("ERR_UPGRADE_MISMATCH", message);
}

/** Sends the request and waits for the answer. `check` returns the reason why an answer opens no stream. */
function exchange(
  request: ClientRequest,
  signal: AbortSignal | undefined,
  check: (response: IncomingMessage) => Error | undefined,
): Promise<AnsweredUpgrade> {
  return new Promise((resolve, reject) => {
    const onSwitch = (response: IncomingMessage, socket: Duplex, head: Buffer): void => {
      const exchange = new Exchange(response);
      const wrong = check(response);
      if (wrong === undefined) {
        exchange.succeed(socket, head);
      } else {
        exchange.fail(wrong);
        socket.on("error", noop).destroy();
      }
      resolve({ response, upgraded: exchange.upgraded });
    };
    request.on("upgrade", onSwitch).on("connect", onSwitch);
    request.on("response", (response) => {
      const exchange = new Exchange(response);
      exchange.fail(check(response) ?? refusedError(response.statusCode ?? 0));
      // Node treats a 101 without its headers as an answer whose body never ends.
      if (response.statusCode === 101) response.destroy();
      resolve({ response, upgraded: exchange.upgraded });
    });
    request.on("error", (error) => reject(signal?.aborted ? signal.reason : error));
    request.on("close", () => reject(abandonedError()));
    request.end();
  });
}
