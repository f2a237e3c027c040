/** The client's side: opens a WebSocket to a URL, through proxies and redirects. */
import type { IncomingMessage } from "node:http";
import { SwitchboardError } from "../../errors.ts";
import { beginHandshake, type ClientHandshake, checkHandshakeResponse } from "../handshake/client.ts";
import { type AnsweredUpgrade, requestUpgrade } from "../upgrade/request.ts";
import {
  type ConnectOptions,
  type ConnectSettings,
  checkConnectOptions,
  parseTarget,
  type TlsOptions,
  urlError,
} from "./connect-options.ts";
import { proxyFromEnvironment } from "./proxy.ts";
import { throughProxy } from "./tunnel.ts";
import { WebSocket } from "./websocket.ts";

/**
 * Opens a WebSocket to a `ws:` or `wss:` URL (`http:` and `https:` mean the same). A user and password in the URL are
 * sent as Basic credentials.
 *
 * Leaves nothing open when it rejects. It rejects with the signal's reason, with an error of the socket or of TLS, or
 * with a `SwitchboardError`:
 * - `ERR_URL`, `ERR_OPTION`, `ERR_PROXY`: the URL, an option or the proxy's URL is invalid;
 * - `ERR_HANDSHAKE_TIMEOUT`: the attempt took longer than `handshakeTimeoutMs`;
 * - `ERR_HANDSHAKE_STATUS`, `_UPGRADE`, `_CONNECTION`, `_ACCEPT`, `_PROTOCOL`, `_EXTENSION`: the server's answer opens
 *   no WebSocket; its `cause` is `{ status, headers }`;
 * - `ERR_REDIRECT`: the server answered with a redirect that isn't followed;
 * - `ERR_PROXY_REFUSED`: the proxy opened no tunnel; its `cause` is the proxy's answer;
 * - `ERR_UPGRADE_ABANDONED`: the server closed the connection instead of answering.
 *
 * Source: RFC 6455 section 4.1.
 */
export async function connect(url: URL | string, options: ConnectOptions = {}): Promise<WebSocket> {
  const settings = checkConnectOptions(options);
  const target = parseTarget(url);
  const { signal: outer, handshakeTimeoutMs } = settings;
  outer?.throwIfAborted();
  // A signal of its own: an abort after the opening must not end the WebSocket.
  const attempt = new AbortController();
  const abort = (): void => attempt.abort(outer?.reason);
  outer?.addEventListener("abort", abort);
  const timer = setTimeout(() => attempt.abort(timeoutError(handshakeTimeoutMs)), handshakeTimeoutMs);
  try {
    return await open(target, settings, attempt.signal);
  } catch (error) {
    throw attempt.signal.aborted ? attempt.signal.reason : error;
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener("abort", abort);
  }
}

/** Sends the request, and follows redirects up to the limit. */
async function open(first: URL, settings: ConnectSettings, signal: AbortSignal): Promise<WebSocket> {
  let target = first;
  let secrets: Secrets = { headers: { ...credentials(first), ...settings.headers }, tls: settings.tls };
  for (let redirects = 0; ; redirects++) {
    const handshake = beginHandshake({ ...settings, compression: settings.webSocket.compression });
    const answer = await ask(target, handshake, secrets, settings, signal);
    const location = redirection(answer.response);
    if (location === undefined) return accept(answer, handshake, settings, signal);
    answer.response.destroy();
    if (redirects >= settings.maxRedirects) {
      throw redirectError(settings.maxRedirects === 0 ? "it isn't followed" : `${redirects} were followed already`);
    }
    const next = redirectTarget(location, target);
    // Secrets that were left out stay out, also when a later redirect leads back.
    if (next.origin !== first.origin) secrets = withoutSecrets(secrets);
    target = next;
  }
}

/** Options that only the origin of the first URL may get. */
interface Secrets {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsOptions;
}

async function ask(
  target: URL,
  handshake: ClientHandshake,
  { headers, tls }: Secrets,
  { proxy, tls: { ca } }: ConnectSettings,
  signal: AbortSignal,
): Promise<AnsweredUpgrade> {
  const gate = proxy === false ? undefined : (proxy ?? proxyFromEnvironment(target, process.env));
  const way = gate === undefined ? tls : await throughProxy(gate, target, tls, ca, signal);
  return requestUpgrade(target, "websocket", { ...way, headers: { ...headers, ...handshake.headers }, signal });
}

async function accept(
  { response, upgraded }: AnsweredUpgrade,
  handshake: ClientHandshake,
  settings: ConnectSettings,
  signal: AbortSignal,
): Promise<WebSocket> {
  const checked = checkHandshakeResponse(response, handshake);
  if (!checked.ok) {
    response.destroy();
    // Nobody waits for this WebSocket any more: close it if the server still switches protocols.
    void upgraded.then((stream) => stream.destroy()).catch(() => {});
    const cause = { status: response.statusCode, headers: response.headers };
    throw new SwitchboardError(checked.code, checked.reason, { cause });
  }
  const stream = await upgraded;
  if (signal.aborted) {
    stream.destroy();
    throw signal.reason;
  }
  const { protocol, extensions, deflate } = checked;
  return new WebSocket(stream.downcast(), { role: "client", protocol, extensions, deflate }, settings.webSocket);
}

/** Returns the Location of a redirect; undefined for any other answer. */
function redirection({ statusCode, headers }: IncomingMessage): string | undefined {
  return [301, 302, 303, 307, 308].includes(statusCode ?? 0) ? headers.location : undefined;
}

function redirectTarget(location: string, from: URL): URL {
  const resolved = URL.parse(location, from);
  if (resolved === null) throw redirectError("its Location is no URL");
  let target: URL;
  try {
    // Only the caller may give credentials, not a redirect.
    Object.assign(resolved, { hash: "", username: "", password: "" });
    target = parseTarget(resolved);
  } catch (cause) {
    throw redirectError(`it leads to a ${resolved.protocol} URL`, { cause });
  }
  if (from.protocol === "https:" && target.protocol === "http:") throw redirectError("it leads from wss: to ws:");
  return target;
}

function withoutSecrets({ tls }: Secrets): Secrets {
  const { cert: _cert, key: _key, pfx: _pfx, passphrase: _passphrase, servername: _servername, ...rest } = tls;
  return { headers: {}, tls: rest };
}

function credentials({ username, password }: URL): Record<string, string> {
  if (username === "" && password === "") return {};
  let pair: string;
  try {
    pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    throw urlError("its user or password is not encoded well");
  }
  return { Authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
}

function redirectError(why: string, options?: ErrorOptions): SwitchboardError {
  return new SwitchboardError("ERR_REDIRECT", `the server answered with a redirect: ${why}`, options);
}

function timeoutError(ms: number): SwitchboardError {
  return new SwitchboardError("ERR_HANDSHAKE_TIMEOUT", `there was no WebSocket after ${ms} ms`);
}
