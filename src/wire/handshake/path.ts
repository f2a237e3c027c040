/** Matches the paths of requests against a route's pattern. The acceptors of a board use it. */
import { compilePathPattern } from "./path-pattern.ts";

/** Decoded values of a path's parameters, by name: `room` for `/chat/:room`. */
type Params = Readonly<Record<string, string>>;

/** The parameters of all requests to a route without a pattern: one object, which all their connections keep. */
const NO_PARAMS: Params = Object.freeze({});

/**
 * Creates a function that matches a request's path against `pattern` (in the syntax of `URLPattern`). The function
 * returns the parameters, or undefined when the path doesn't match. Without a pattern every path matches.
 */
export function pathMatcher(
  pattern: string | undefined,
): (request: { readonly url?: string | undefined }) => Params | undefined {
  if (pattern === undefined) return () => NO_PARAMS;
  const compiled = compilePathPattern(pattern);
  return ({ url = "" }) => {
    const groups = compiled(pathOf(url));
    return groups && decodeParams(groups);
  };
}

/**
 * The path of a request target: the target is a path with a query or, from proxies, a whole URL (RFC 9112 section 3.2).
 */
function pathOf(target: string): string {
  if (!target.startsWith("/")) return URL.parse(target)?.pathname ?? target;
  const query = target.indexOf("?");
  return query === -1 ? target : target.slice(0, query);
}

/** Decodes the parameters. Returns undefined, as for no match, when one is not valid percent-encoding. */
function decodeParams(groups: Record<string, string | undefined>): Params | undefined {
  const params: Record<string, string> = {};
  for (const [name, value] of Object.entries(groups)) {
    if (value === undefined) continue;
    try {
      params[name] = decodeURIComponent(value);
    } catch {
      return undefined;
    }
  }
  return params;
}
