/** A path pattern, compiled: the groups of a path that it matches, by name or, for those without one, by number. */
export type PathPattern = (path: string) => Record<string, string | undefined> | undefined;

/**
 * Compiles a path pattern in the syntax of `URLPattern`. A Node that has no `URLPattern` (before 24) gets what paths need of it: literal
 * text, `:name`, `:name(regexp)`, `*`, and `?` behind a segment that may be missing. Throws for any other.
 */
export function compilePathPattern(pattern: string): PathPattern {
  if (typeof URLPattern === "undefined") return compileToRegExp(pattern);
  const compiled = new URLPattern({ pathname: pattern });
  const standard: PathPattern = (path) => compiled.exec({ pathname: path })?.pathname.groups;
  const quick = ifSimple(pattern) ?? standard;
  return (path) => (PLAIN_PATH.test(path) ? quick(path) : standard(path));
}

/** In such there is nothing to normalize, and a regular expression says the same in a twentieth of the 6 us that `URLPattern` takes. */
const PLAIN_PATH = /^\/[\w/-]*$/;

function ifSimple(pattern: string): PathPattern | undefined {
  try {
    return compileToRegExp(pattern);
  } catch {
    return undefined;
  }
}

const TOKENS = /(\/?):([\p{ID_Start}_$][\p{ID_Continue}$]*)(?:\(((?:[^()\\?]|\\.)[^()]*)\))?(\??)|\*|[^:*(){}?+\\]/gu;

/** The part of the syntax without `URLPattern`'s help. */
export function compileToRegExp(pattern: string): PathPattern {
  const names: string[] = [];
  let unnamed = 0;
  let source = "";
  let end = 0;
  for (const { 0: token, 1: slash = "", 2: name, 3: expression = "[^\\/]+?", 4: optional, index } of pattern.matchAll(
    TOKENS,
  )) {
    if (index !== end) break;
    end += token.length;
    if (name !== undefined) {
      names.push(name);
      source += optional === "" ? `${slash}(${expression})` : `(?:${slash}(${expression}))?`;
    } else if (token === "*") {
      names.push(String(unnamed++));
      source += "(.*)";
    } else {
      source += encodeURI(token).replace(/[.$^|[\]\\]/g, "\\$&");
    }
  }
  if (end !== pattern.length || new Set(names).size !== names.length) {
    throw new TypeError(`not a path pattern that this Node knows: ${pattern}`);
  }
  const compiled = new RegExp(`^${source}$`, "v");
  return (path) => {
    const found = compiled.exec(path);
    return found === null ? undefined : Object.fromEntries(names.map((name, i) => [name, found[i + 1]]));
  };
}
