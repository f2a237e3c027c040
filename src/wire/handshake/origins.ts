/**
 * The option `origins`: the pages that may connect, by the Origin header of their handshake. For boards and
 * `upgradeConnection`.
 *
 * Sources: RFC 6454 section 7, RFC 6455 section 10.2.
 */
import type { IncomingMessage } from "node:http";
import { SwitchboardError } from "../../errors.ts";
import { listOf, type OptionCheck } from "./option-check.ts";

/**
 * Decides whether a page of this origin may connect. `origin` is the Origin header as it was sent; requests without
 * that header are let in unasked. What the function throws, and any value but true and false (such as a promise),
 * refuses the handshake with 500.
 */
export type OriginFunction = (origin: string, request: IncomingMessage) => boolean;

/**
 * Origins as browsers send them, or a function. Beside `https://example.com`, with its port unless that is the default,
 * a list may name:
 *
 * - `https://*.example.com`: all subdomains at any depth, but not `https://example.com` itself;
 * - origins of apps and extensions: `capacitor://localhost`, `chrome-extension://<id>`; with `*` as the host every one
 *   of that scheme, for ids that differ with each installation (`moz-extension://*`);
 * - `null` (sandboxed frames, local files) and `file://`.
 */
export type Origins = readonly string[] | OriginFunction;

const LIST = listOf(
  'origins such as "https://example.com" or "https://*.example.com"',
  (member) => problemOf(member) === undefined,
  (member) => `, ${problemOf(member)}`,
);

export const originsCheck: OptionCheck = {
  ...LIST,
  takes: `${LIST.takes}, or a function`,
  accepts: (value) => typeof value === "function" || LIST.accepts(value),
};

/** A checked option `origins` in the form that `allowsOrigin` takes. */
export function normalizeOrigins(origins: Origins): Origins {
  return typeof origins === "function" ? origins : origins.map((origin) => origin.toLowerCase());
}

/** Throws `ERR_ORIGINS` for a function's answer that is neither true nor false, and what the function throws. */
export function allowsOrigin(origins: Origins, origin: string, request: object): boolean {
  if (typeof origins === "function") {
    // Functions can't be sent to the shards, where requests are also read without Node's HTTP: here it is always Node's
    // own request.
    return ask(origins, origin, request as IncomingMessage);
  }
  const lowerCased = origin.toLowerCase();
  return origins.some((one) => (one.includes("*") ? matches(one, lowerCased) : one === lowerCased));
}

function ask(origins: OriginFunction, origin: string, request: IncomingMessage): boolean {
  const answer: unknown = origins(origin, request);
  if (typeof answer === "boolean") return answer;
  const isPromise = answer instanceof Promise;
  // The handshake is refused already: a rejection must not end the process, too.
  if (isPromise) answer.catch(() => {});
  const message = `the function origins must give true or false, and gave ${isPromise ? "a promise" : typeof answer}`;
  throw new SwitchboardError("ERR_ORIGINS", `${message}: decide in authorize what takes time`);
}

/** One or more labels of a host name, and nothing that could end the host: no port, user or path. */
const LABELS = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;

function matches(pattern: string, origin: string): boolean {
  const star = pattern.indexOf("*");
  const [before, after] = [pattern.slice(0, star), pattern.slice(star + 1)];
  if (!origin.startsWith(before) || !origin.endsWith(after)) return false;
  return LABELS.test(origin.slice(before.length, origin.length - after.length));
}

/** Schemes that are meant to be `http` or `https`. No app has one of these letters alone. */
const MISSPELT = /^(?!https?$)[htps]+$/;

/** Says why no Origin header can be this, in words that follow the member; undefined if one can. */
function problemOf(member: string): string | undefined {
  if (member.toLowerCase() === "null") return undefined;
  if (member === "*") return "which is no origin: leave origins out to let every page in";
  const [, scheme, rest] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/s.exec(member.toLowerCase()) ?? [];
  if (scheme === undefined || rest === undefined) return `which has no scheme: write "https://example.com"`;
  if (scheme === "ws" || scheme === "wss") {
    return `which is no page's: name the origin of the page, "${scheme.replace("ws", "http")}://${rest}"`;
  }
  if (MISSPELT.test(scheme)) return `whose scheme is misspelt: write "https://${rest}"`;
  if (rest === "" && scheme === "file") return undefined;
  if (rest.indexOf("/") === rest.length - 1 && (rest.length > 1 || scheme === "file")) {
    return `which ends with a slash, as no Origin header does: write "${member.slice(0, -1)}"`;
  }
  if (/[/?#]/.test(rest)) return "which has a path or a query: an origin is only scheme, host and port";
  if (rest.includes("@")) return "which names a user: an origin is only scheme, host and port";
  return scheme === "http" || scheme === "https" ? problemOfWebHost(scheme, rest) : problemOfHost(scheme, rest);
}

/** Takes the place of a wildcard where a host name is parsed. */
const ANY_LABEL = "any";

function problemOfWebHost(scheme: string, host: string): string | undefined {
  if (host.includes("*") && !/^\*\.[^.:*][^*]*$/.test(host)) {
    return `whose wildcard is in the wrong place: only a first label can be one, as in "${scheme}://*.example.com"`;
  }
  const url = URL.parse(`${scheme}://${host.replace("*", ANY_LABEL)}`);
  if (url === null) return "which has no valid host and port";
  const sent = host.startsWith("*") ? url.origin.replace(ANY_LABEL, "*") : url.origin;
  if (sent === `${scheme}://${host}`) return undefined;
  const isDefaultPort = url.port === "" && /:\d+$/.test(host);
  return `${isDefaultPort ? "which writes out the default port" : "which browsers write in another way"}: write "${sent}"`;
}

/**
 * Checks the host of an origin of an app or an extension. Only the makers of apps and extensions know the form of such
 * hosts, so any visible ASCII passes.
 */
function problemOfHost(scheme: string, host: string): string | undefined {
  if (host === "") return "which has no host";
  if (host.includes("*")) {
    return host === "*"
      ? undefined
      : `whose wildcard is in the wrong place: only all of the host can be one, "${scheme}://*"`;
  }
  return /^[\x21-\x7e]+$/.test(host) ? undefined : "which has a character that no Origin header has";
}
