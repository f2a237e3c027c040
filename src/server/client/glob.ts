/** Patterns for names of channels: `*` stands for any characters, `?` for one. The API and the shards use them. */

/** Returns a function that says whether a name matches. The time is bounded by the product of both lengths. */
export function compileGlob(pattern: string): (name: string) => boolean {
  return (name) => {
    let [at, from, star, retry] = [0, 0, -1, 0];
    while (at < name.length) {
      if (pattern[from] === "*") {
        star = from++;
        retry = at;
      } else if (from < pattern.length && (pattern[from] === "?" || pattern[from] === name[at])) {
        from++;
        at++;
      } else if (star !== -1) {
        from = star + 1;
        at = ++retry;
      } else {
        return false;
      }
    }
    while (pattern[from] === "*") from++;
    return from === pattern.length;
  };
}
