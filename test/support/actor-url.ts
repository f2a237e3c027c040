/** URL of an actor module in `test/support/actors`. */
export function actorUrl(name: string): URL {
  return new URL(`./actors/${name}.ts`, import.meta.url);
}
