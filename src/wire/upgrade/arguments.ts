/**
 * Checks the arguments of the calls that take a server or an upgrade, and of the client calls. Says what to pass
 * instead of what was passed.
 */
import { SwitchboardError } from "../../errors.ts";
import { builtins } from "../node-internals/builtins.ts";

/** A protocol: its name, and perhaps a version. */
const PROTOCOL = /^[\w!#$%&'*+.^`|~-]+(\/[\w!#$%&'*+.^`|~-]+)?$/;

/** Throws `ERR_ARGUMENT` for what is no server of `node:http`, `node:https` or `node:http2`. */
export function checkServer(call: string, value: unknown): void {
  if (value instanceof builtins.http.Server || value instanceof builtins.https.Server || isHttp2Server(value)) return;
  throw argumentError(
    `${call} takes a server of node:http, node:https or node:http2, and got ${adviceOn(call, value)}`,
  );
}

/** Throws `ERR_ARGUMENT` unless these are the arguments of an `upgrade` event. */
export function checkUpgrade(call: string, request: unknown, socket: unknown, head: unknown): void {
  checkRequest(call, request);
  if (!hasMethods(socket, ["on", "write", "read"])) throw eventError(call, "the second is no socket", socket);
  if (!(head instanceof Uint8Array)) throw eventError(call, "the third is no Buffer", head);
}

/** Throws `ERR_ARGUMENT` for what is no request of a server. */
export function checkRequest(call: string, request: unknown): void {
  if (isMessage(request) && typeof request["method"] === "string") return;
  throw eventError(call, "the first is no request of a node:http server", request);
}

/** Returns `ERR_ARGUMENT` for what is neither a server's request nor a client's response. */
export function messageError(call: string, message: unknown): SwitchboardError | undefined {
  if (isMessage(message)) return undefined;
  return argumentError(
    `${call} takes a request of a node:http server, or a response, and got ${adviceOnMessage(message)}`,
  );
}

/** Throws `ERR_ARGUMENT` for what is no function. */
export function checkFunction(call: string, name: string, value: unknown): void {
  if (typeof value === "function") return;
  throw argumentError(`${call} takes a function as its ${name}, and got ${nameOf(value)}`);
}

/**
 * Returns a URL. Throws `ERR_URL` for what is none, and `ERR_URL_SCHEME` for one that is neither `http:` nor `https:`.
 */
export function checkUrl(call: string, value: unknown): URL {
  const url = value instanceof URL || typeof value === "string" ? URL.parse(value) : null;
  // A text that is no URL isn't shown: it may have a password.
  const got = typeof value === "string" ? "a text that is no URL" : nameOf(value);
  if (url === null) throw new SwitchboardError("ERR_URL", `${call} takes an http: or https: URL, and got ${got}`);
  if (url.protocol === "http:" || url.protocol === "https:") return url;
  throw new SwitchboardError("ERR_URL_SCHEME", `${call} takes an http: or https: URL, and got one of ${url.protocol}`);
}

/** Throws `ERR_ARGUMENT` for what is no list of protocols. Source: RFC 9110 section 7.8. */
export function checkProtocols(call: string, value: unknown): void {
  if (typeof value === "string" && value.split(",").every((protocol) => PROTOCOL.test(protocol.trim()))) return;
  const got = typeof value === "string" ? JSON.stringify(value) : nameOf(value);
  throw argumentError(`${call} takes one or more protocols, such as "foobar/2, foobar/1", and got ${got}`);
}

/** Throws `ERR_ARGUMENT` for options that are no object. */
export function checkRequestOptions(call: string, value: unknown): void {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  throw argumentError(`${call} takes an object of options, such as { headers, signal }, and got ${nameOf(value)}`);
}

export function argumentError(message: string): SwitchboardError {
  return new SwitchboardError("ERR_ARGUMENT", message);
}

/** Names the kind of value that was passed, as far as that can be seen, and the value to pass instead. */
function adviceOn(call: string, value: unknown): string {
  if (value === undefined || value === null) {
    return `${value}: create the server first (const server = createServer(app))`;
  }
  if (isNetServer(value)) {
    const single = call === "serveUpgrades" ? "answerUpgrade" : "handleUpgrade";
    return `a server that speaks no HTTP (node:net or node:tls): pass one of node:http or node:https, or give single upgrades to ${single}`;
  }
  if (hasMethods(value, ["inject", "register"])) return "a Fastify instance: pass its server (app.server)";
  if (hasMethods(value, ["callback", "use"])) return "a Koa app: pass http.createServer(app.callback())";
  if (hasMethods(value, ["fetch", "request"]))
    return "a Hono app: pass the server that serve(app) of @hono/node-server returns";
  if (hasMethods(value, ["getHttpServer"])) return "a Nest app: pass app.getHttpServer()";
  if (hasMethods(value, ["handle", "use"])) {
    return "an Express or Connect app: pass the server that app.listen() returns, or http.createServer(app)";
  }
  if (isObject(value)) {
    const property = ["server", "httpServer", "listener"].find((name) => isNetServer(value[name]));
    if (property !== undefined) return `an object that has a server: pass its property ${property}`;
  }
  if (value instanceof Promise) return "a promise: await it, and pass what it gives";
  if (typeof value === "function") return "a function: pass http.createServer(handler)";
  return nameOf(value);
}

function eventError(call: string, what: string, value: unknown): SwitchboardError {
  const message = `${call} takes the arguments of an "upgrade" event (request, socket, head) in this order; ${what} but ${adviceOnMessage(value)}`;
  return argumentError(message);
}

/** Names what was passed in place of a message of `node:http`. */
function adviceOnMessage(value: unknown): string {
  if (value instanceof Request) return "a web Request: pass the request of node:http (in Hono: c.env.incoming)";
  return nameOf(value);
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "function") return "a function";
  if (typeof value !== "object") return `a ${typeof value}`;
  const name: unknown = value.constructor?.name;
  return typeof name === "string" && name !== "" ? `an object of ${name}` : "an object";
}

/** A message of `node:http` or `node:http2`; those of the web have methods for their headers. */
function isMessage(value: unknown): value is Readonly<Record<string, unknown>> {
  return isObject(value) && isObject(value["headers"]) && !hasMethods(value["headers"], ["get", "has"]);
}

function isHttp2Server(value: unknown): boolean {
  return isNetServer(value) && hasMethods(value, ["updateSettings"]);
}

/** A server of whichever protocol. */
function isNetServer(value: unknown): boolean {
  return hasMethods(value, ["listen", "getConnections"]);
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
  return isObject(value) && names.every((name) => typeof value[name] === "function");
}

/** Functions are objects, too: an Express app is one. */
function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
