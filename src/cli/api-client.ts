/** The client of a server's HTTP API, for the commands `publish`, `channels`, `connections` and `info`. */
import type { ServerConfig } from "../server/config/config.ts";
import { loadGoodConfig } from "./load-config.ts";
import { CommandError, UsageError } from "./usage-error.ts";

/** Address of the API, and the key for it. */
export interface ApiAddress {
  /** URL of the API, such as `http://127.0.0.1:8000/api`. */
  readonly url: string;
  /** "": no key is known. */
  readonly key: string;
}

const TIMEOUT_MS = 10_000;
const KEY = "http_api.key";

/** Finds the API: by flags, else by the config file and the environment. Throws a UsageError or a CommandError. */
export async function findApi(flags: {
  readonly url?: string | undefined;
  readonly key?: string | undefined;
  readonly config?: string | undefined;
}): Promise<ApiAddress> {
  const { config, generated } = await loadGoodConfig(flags.config);
  // A key that was made now isn't the one of a server that runs.
  const isKnown = generated.every(({ path }) => path !== KEY);
  return {
    url: `${flags.url === undefined ? urlOf(config) : checkUrl(flags.url)}${config.httpApi.handlerPrefix}`,
    key: flags.key ?? (isKnown ? config.httpApi.key : ""),
  };
}

function checkUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.search !== "" || url.hash !== "") {
    throw new UsageError(`--url takes an http: or https: URL such as http://127.0.0.1:8000, not ${text}`);
  }
  return url.href.replace(/\/$/, "");
}

/** URL of a server that runs on this machine with this config. */
function urlOf({ httpServer }: ServerConfig): string {
  const { address, port, internalPort, internalAddress, tls } = httpServer;
  const isInternal = internalPort !== 0;
  if (!isInternal && port === 0)
    throw new UsageError("http_server.port is 0: give the address of the server with --url");
  const host = (isInternal && internalAddress) || address;
  const reachable = ["", "0.0.0.0", "::"].includes(host) ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return `${tls !== undefined && !isInternal ? "https" : "http"}://${reachable}:${isInternal ? internalPort : port}`;
}

/** Calls a method of the API. Resolves with its result. Throws a CommandError that says what to do. */
export async function callApi({ url, key }: ApiAddress, method: string, params: object): Promise<unknown> {
  const headers = { "content-type": "application/json", ...(key === "" ? {} : { "x-api-key": key }) };
  let status: number;
  let body: string;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const request = { method: "POST", headers, body: JSON.stringify(params), signal, redirect: "manual" } as const;
    const response = await fetch(`${url}/${method}`, request);
    status = response.status;
    body = await response.text();
  } catch (error) {
    throw new CommandError(explain(url, error));
  }
  const answer = parseJson(body);
  const error = errorOf(answer);
  if (status === 401) throw new CommandError(explainStatus(url, status, key));
  if (error !== undefined) throw new CommandError(`the server answered with error ${error}`);
  if (status !== 200) throw new CommandError(explainStatus(url, status, key));
  if (isRecord(answer) && answer["result"] !== undefined) return answer["result"];
  const what = answer === undefined ? "something that isn't JSON" : "neither a result nor an error";
  throw new CommandError(`${url} answered with ${what}: is it the API of switchboard serve?`);
}

function explain(url: string, error: unknown): string {
  if (error instanceof Error && error.name === "TimeoutError") {
    return `${url} didn't answer within ${TIMEOUT_MS / 1000} s`;
  }
  const cause: unknown = error instanceof Error && error.cause !== undefined ? error.cause : error;
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ECONNREFUSED") {
    return `nothing listens at ${new URL(url).origin}: start the server with switchboard serve, or give its address with --url`;
  }
  const reason = cause instanceof Error ? cause.message || String(code) : String(cause);
  return `can't reach ${url}: ${printable(reason)}`;
}

function explainStatus(url: string, status: number, key: string): string {
  if (status === 401) {
    return key === ""
      ? "the server wants a key: give it with --config, with the variable SWITCHBOARD_HTTP_API_KEY, or with --key"
      : "the server refuses the key: it has another http_api.key";
  }
  if (status === 403) return `${url} answers requests from its own machine only: see http_api.loopback_only`;
  if (status === 404) return `there is no API at ${url}: check --url, http_api.handler_prefix and http_api.disabled`;
  return `${url} answered with status ${status}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Code and message of an error: under `error`, or with `http_api.error_mode` of "transport" the body itself. */
function errorOf(answer: unknown): string | undefined {
  if (!isRecord(answer)) return undefined;
  const { code, message } = isRecord(answer["error"]) ? answer["error"] : answer;
  if (typeof code !== "number" || typeof message !== "string") return undefined;
  return `${code}: ${printable(message)}`;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text of a server or a client as a terminal may show it: without control characters. */
export function printable(text: string): string {
  // JSON escapes those below 32 itself.
  const escaped = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("\\\\", "\\");
  return escaped.replaceAll(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (one) => {
    return `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
