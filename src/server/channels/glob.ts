/** Globs for channels: `*` any characters, `?` one, `[abc]`, `[!a-z]`, `{a,b}`, and `\` before a character itself. */

/** One character of a pattern: undefined stands for `*`. */
type Token = ((character: string) => boolean) | undefined;

/** Length of a pattern, in UTF-16 units. */
export const MAX_GLOB_LENGTH = 1_024;
/** Number of patterns that the braces of one pattern may stand for. */
const MAX_ALTERNATIVES = 256;

/**
 * Returns a function that says whether a name matches; undefined for a pattern that is malformed, too long, or has too
 * many alternatives. A match takes time in proportion to the lengths of pattern and name at most. "" matches all names.
 */
export function compileGlob(pattern: string): ((name: string) => boolean) | undefined {
  if (pattern === "" || pattern === "*") return () => true;
  if (pattern.length > MAX_GLOB_LENGTH) return undefined;
  const alternatives = expand(pattern)?.map(tokensOf);
  if (alternatives === undefined || alternatives.includes(undefined)) return undefined;
  return (name) => {
    const characters = [...name];
    return alternatives.some((tokens) => tokens !== undefined && matches(tokens, characters));
  };
}

/** Replaces braces by all their alternatives. Returns undefined for braces that don't match, and for too many. */
function expand(pattern: string): string[] | undefined {
  const patterns: string[] = [];
  const waiting = [pattern];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const braces = bracesOf(next);
    if (braces === "malformed" || waiting.length + patterns.length > MAX_ALTERNATIVES) return undefined;
    if (braces === undefined) patterns.push(next);
    else {
      const { start, end, parts } = braces;
      for (const part of parts) waiting.push(next.slice(0, start) + part + next.slice(end));
    }
  }
  return patterns;
}

interface Braces {
  readonly start: number;
  readonly end: number;
  readonly parts: readonly string[];
}

/** Returns the first pair of braces; undefined if there is none. */
function bracesOf(pattern: string): Braces | "malformed" | undefined {
  let start = -1;
  let depth = 0;
  let from = 0;
  let inClass = false;
  const parts: string[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at];
    if (character === "\\") at++;
    else if (inClass) inClass = character !== "]";
    else if (character === "[") inClass = true;
    else if (character === "{" && depth++ === 0) {
      start = at;
      from = at + 1;
    } else if (character === "," && depth === 1) {
      parts.push(pattern.slice(from, at));
      from = at + 1;
    } else if (character === "}") {
      if (--depth < 0) return "malformed";
      if (depth === 0) return { start, end: at + 1, parts: [...parts, pattern.slice(from, at)] };
    }
  }
  return depth === 0 ? undefined : "malformed";
}

function tokensOf(pattern: string): readonly Token[] | undefined {
  const characters = [...pattern];
  const tokens: Token[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] as string;
    if (character === "*") {
      if (tokens.length === 0 || tokens.at(-1) !== undefined) tokens.push(undefined);
    } else if (character === "?") tokens.push(() => true);
    else if (character === "[") {
      const end = characters.indexOf("]", at + 2);
      if (end === -1) return undefined;
      tokens.push(classOf(characters.slice(at + 1, end)));
      at = end;
    } else {
      const own = character === "\\" ? characters[++at] : character;
      if (own === undefined) return undefined;
      tokens.push((one) => one === own);
    }
  }
  return tokens;
}

function classOf(characters: readonly string[]): (character: string) => boolean {
  const isNegated = characters[0] === "!" || characters[0] === "^";
  const members = isNegated ? characters.slice(1) : characters;
  const singles = new Set<string>();
  const ranges: (readonly [string, string])[] = [];
  for (let at = 0; at < members.length; at++) {
    const [from, dash, to] = members.slice(at, at + 3);
    if (from !== undefined && dash === "-" && to !== undefined) {
      ranges.push([from, to]);
      at += 2;
    } else if (from !== undefined) singles.add(from);
  }
  const isIn = (one: string): boolean => singles.has(one) || ranges.some(([from, to]) => from <= one && one <= to);
  return (one) => isIn(one) !== isNegated;
}

/** Only the last `*` may have to take more: the shortest match of the part before it leaves the most for the rest. */
function matches(tokens: readonly Token[], characters: readonly string[]): boolean {
  let token = 0;
  let at = 0;
  let star = -1;
  let starAt = 0;
  while (at < characters.length) {
    const test = tokens[token];
    if (token < tokens.length && test === undefined) {
      star = token++;
      starAt = at;
    } else if (test?.(characters[at] as string)) {
      token++;
      at++;
    } else if (star !== -1) {
      token = star + 1;
      at = ++starAt;
    } else return false;
  }
  while (token < tokens.length && tokens[token] === undefined) token++;
  return token === tokens.length;
}
