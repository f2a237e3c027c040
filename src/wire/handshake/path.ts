import { compilePathPattern } from "./path-pattern.ts";

/** The values of a path's parameters, decoded: `room` for `/chat/:room`. */
type Params = Readonly<Record<string, string>>;

/** A function from requests to the parameters of `pattern` (`URLPattern` syntax), or undefined where it doesn't match. */
export function pathMatcher(
  pattern: string | undefined,
): (request: { readonly url?: string | undefined }) => Params | undefined {
  if (pattern === undefined) return () => ({});
  const compiled = compilePathPattern(pattern);
  return ({ url = "" }) => {
    const groups = compiled(pathOf(url));
    return groups && decodeParams(groups);
  };
}

/** The path of a request target, which is a path with a query or, from proxies, a whole URL (RFC 9112 section 3.2). */
function pathOf(target: string): string {
  if (!target.startsWith("/")) return URL.parse(target)?.pathname ?? target;
  const query = target.indexOf("?");
  return query === -1 ? target : target.slice(0, query);
}

/** Undefined, as for no match, when a parameter is no valid percent-encoding. */
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
