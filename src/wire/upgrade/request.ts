import { type ClientRequest, type IncomingMessage, type RequestOptions, request as requestHttp } from "node:http";
import { request as requestHttps, type RequestOptions as TlsRequestOptions } from "node:https";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../errors.ts";
import { abandonedError, Exchange, refusedError } from "./on-upgrade.ts";
import type { Upgraded } from "./upgraded.ts";

/**
 * What both client calls take: `signal` gives up until there is an answer (`AbortSignal.timeout(5_000)` is a limit of time, there
 * is none by default), and the rest of `node:http`'s request options (`ca`, `socketPath`,
 * `agent`, `createConnection`, `maxHeaderSize`, …) goes through.
 */
export interface UpgradeRequestOptions
  extends Omit<TlsRequestOptions, "method" | "path" | "host" | "hostname" | "port" | "headers" | "timeout"> {
  readonly headers?: Readonly<Record<string, string>>;
}

/** A client's exchange that has been answered. */
export interface AnsweredUpgrade {
  /**
   * 101 or 2xx after which HTTP is over. Any other answer has its body to read, and keeps its socket until that is read or destroyed; only a
   * proxy's refusal comes without body and socket.
   */
  readonly response: IncomingMessage;
  /** The same as `onUpgrade(response)`. */
  readonly upgraded: Promise<Upgraded>;
}

/**
 * Asks the server of an `http:` or `https:` URL to switch to another protocol. User and password of the URL become an Authorization.
 *
 * @param protocol value of the Upgrade header: `foobar`, or a list such as `foobar/2, foobar/1` of which the server takes one
 *
 * Resolves with any answer, and rejects when there is none: with the socket's or the parser's error (`HPE_HEADER_OVERFLOW` past
 * `maxHeaderSize`, 16 KiB), or the signal's reason. `upgraded` rejects with `ERR_UPGRADE_REFUSED` for an answer other than 101, and with
 * `ERR_UPGRADE_MISMATCH` for a 101 that switches to something else.
 */
export async function requestUpgrade(
  url: URL | string,
  protocol: string,
  options: UpgradeRequestOptions = {},
): Promise<AnsweredUpgrade> {
  const target = new URL(url);
  const headers = { ...options.headers, Connection: "Upgrade", Upgrade: protocol };
  const auth = target.username === "" ? {} : { auth: credentials(target) };
  const request = startRequest(target, { ...auth, ...options, headers, path: target.pathname + target.search });
  return exchange(request, options.signal, (response) => checkSwitch(response, protocol));
}

/**
 * Opens a tunnel through a proxy by CONNECT.
 *
 * @param proxy `http:` or `https:` URL; its user and password become a Proxy-Authorization
 * @param authority where the tunnel leads: `example.com:443`, `[::1]:443`
 *
 * Resolves and rejects as `requestUpgrade` does; what opens the tunnel is any 2xx.
 */
export async function openTunnel(
  proxy: URL | string,
  authority: string,
  options: UpgradeRequestOptions = {},
): Promise<AnsweredUpgrade> {
  // Source: RFC 9110 section 9.3.6, there is no default port.
  if (!/^[^/@]+:\d+$/.test(authority)) {
    const message = `a tunnel leads to host:port, got ${JSON.stringify(authority)}`;
    throw new SwitchboardError("ERR_TUNNEL_AUTHORITY", message);
  }
  const target = new URL(proxy);
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
  if (target.protocol !== "http:" && target.protocol !== "https:") {
    const message = `an upgrade is asked of an http: or https: URL, got ${target.protocol}`;
    throw new SwitchboardError("ERR_URL_SCHEME", message);
  }
  const hostname = target.hostname.replace(/^\[|\]$/g, "");
  const request = target.protocol === "https:" ? requestHttps : requestHttp;
  // No pool, as the socket leaves HTTP; with any agent, Node would ignore a createConnection.
  const agent = options.createConnection === undefined ? { agent: false } : {};
  return request({ ...agent, ...options, hostname, port: target.port });
}

/** What is wrong with the answer to an upgrade request. Source: RFC 9110 section 7.8. */
function checkSwitch({ statusCode = 0, headers }: IncomingMessage, asked: string): Error | undefined {
  if (statusCode !== 101) return refusedError(statusCode);
  const got = headers.upgrade?.toLowerCase();
  const tokens = headers.connection?.split(",").map((token) => token.trim().toLowerCase());
  const offers = asked.split(",").map((offer) => offer.trim().toLowerCase());
  if (got !== undefined && offers.includes(got) && tokens?.includes("upgrade")) return undefined;
  const message = `asked for ${asked}, got a 101 with Upgrade: ${got ?? ""}, Connection: ${headers.connection ?? ""}`;
  return new SwitchboardError("ERR_UPGRADE_MISMATCH", message);
}

/** Waits for the answer; `check` says why it opens no stream. */
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
        socket.on("error", () => {}).destroy();
      }
      resolve({ response, upgraded: exchange.upgraded });
    };
    request.on("upgrade", onSwitch).on("connect", onSwitch);
    request.on("response", (response) => {
      const exchange = new Exchange(response);
      exchange.fail(check(response) ?? refusedError(response.statusCode ?? 0));
      // Node takes a 101 without its headers for an answer whose body has no end.
      if (response.statusCode === 101) response.destroy();
      resolve({ response, upgraded: exchange.upgraded });
    });
    request.on("error", (error) => reject(signal?.aborted ? signal.reason : error));
    request.on("close", () => reject(abandonedError()));
    request.end();
  });
}
