/**
 * The words in which `keys/` describes the config file. From one description come the checks, the type of the config,
 * the JSON schema, the reference page and the names of the environment variables.
 */
import { formatDuration, parseDuration } from "./duration.ts";

/** The type of a key's value, and the limits of the value. */
export type Rule =
  | { readonly type: "boolean" }
  | { readonly type: "integer"; readonly least: number; readonly most: number }
  /** A duration in ms, as text in the file. */
  | { readonly type: "duration"; readonly least: number; readonly most: number }
  | { readonly type: "text"; readonly format: TextFormat }
  | { readonly type: "choice"; readonly choices: readonly string[] }
  /** A list of text, each of a form. Empty choices: any text of the form. */
  | { readonly type: "texts"; readonly choices: readonly string[]; readonly format: TextFormat }
  /** An object of headers: names and values. */
  | { readonly type: "headers" };

/** Form of a text. Empty text is right in each form. */
export type TextFormat =
  | "any"
  | "url"
  | "redis"
  | "prefix"
  | "name"
  | "key prefix"
  | "regex"
  | "rsa"
  | "ecdsa"
  | "namespace"
  | "origin"
  | "header name";

/** One key of the config file. */
export interface Key<Value = unknown> {
  readonly kind: "key";
  readonly rule: Rule;
  readonly fallback: Value;
  /** Meaning of the key, as a line of Markdown. */
  readonly about: string;
  /** True: the value stands in no message. */
  readonly secret: boolean;
}

/** A key whose field in the config has the suffix `Ms`. */
export interface DurationKey extends Key<number> {
  readonly unit: "ms";
}

export type Keys = { readonly [name: string]: Key | Section | List };

/** An object of the config file. */
export interface Section<Inside extends Keys = Keys> {
  readonly kind: "section";
  readonly about: string;
  readonly keys: Inside;
}

/** A list of objects, each with the same keys. */
export interface List<Inside extends Keys = Keys> {
  readonly kind: "list";
  readonly about: string;
  readonly item: Section<Inside>;
}

type Camel<Name extends string> = Name extends `${infer First}_${infer Rest}`
  ? `${First}${Capitalize<Camel<Rest>>}`
  : Name;

type FieldOf<Name extends string, Node> = Node extends DurationKey ? `${Camel<Name>}Ms` : Camel<Name>;

/** The config that a description gives: names in camel case, durations in ms. */
export type ConfigOf<Node> =
  Node extends Key<infer Value>
    ? Value
    : Node extends Section<infer Inside>
      ? { readonly [Name in keyof Inside & string as FieldOf<Name, Inside[Name]>]: ConfigOf<Inside[Name]> }
      : Node extends List<infer Inside>
        ? readonly ConfigOf<Section<Inside>>[]
        : never;

/** The content of a config file: names and values as in the file, durations as text. All keys may be left out. */
export type FileOf<Node> = Node extends DurationKey
  ? string | 0
  : Node extends Key<infer Value>
    ? Value
    : Node extends Section<infer Inside>
      ? { readonly [Name in keyof Inside]?: FileOf<Inside[Name]> | undefined }
      : Node extends List<infer Inside>
        ? readonly FileOf<Section<Inside>>[]
        : never;

/** The field of the config for a key: `history_ttl` is `historyTtlMs`. */
export function fieldName(name: string, node: Key | Section | List): string {
  const camel = name.replaceAll(/_([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase());
  return node.kind === "key" && node.rule.type === "duration" ? `${camel}Ms` : camel;
}

/** The environment variable of a key: `http_server.port` is `SWITCHBOARD_HTTP_SERVER_PORT`. */
export function variableOf(path: string): string {
  return `SWITCHBOARD_${path.replaceAll(".", "_").toUpperCase()}`;
}

function key<Value>(rule: Rule, fallback: Value, about: string, secret = false): Key<Value> {
  return { kind: "key", rule, fallback, about, secret };
}

/** True or false. */
export function flag(fallback: boolean, about: string): Key<boolean> {
  return key({ type: "boolean" }, fallback, about);
}

/** A whole number. */
export function integer(
  fallback: number,
  about: string,
  { least = 0, most = Number.MAX_SAFE_INTEGER }: { readonly least?: number; readonly most?: number } = {},
): Key<number> {
  return key({ type: "integer", least, most }, fallback, about);
}

/** A duration. All three are text: "25s". `most` is what a timer holds, if nothing else is given. */
export function duration(fallback: string, about: string, { least = "0", most = "24d" } = {}): DurationKey {
  const rule = { type: "duration", least: msOf(least), most: msOf(most) } as const;
  return { ...key(rule, msOf(fallback), about), unit: "ms" };
}

function msOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new RangeError(`${text} is no duration`);
  return ms;
}

export function text(fallback: string, about: string, format: TextFormat = "any"): Key<string> {
  return key({ type: "text", format }, fallback, about);
}

/** A text that stands in no message: a secret, or an address that may hold one. */
export function secret(about: string, format: TextFormat = "any", fallback = ""): Key<string> {
  return key({ type: "text", format }, fallback, about, true);
}

/** One text out of a few. */
export function choice<const Choices extends readonly string[]>(
  choices: Choices,
  fallback: Choices[number],
  about: string,
): Key<Choices[number]> {
  return key({ type: "choice", choices }, fallback, about);
}

export function texts(about: string, format: TextFormat = "any"): Key<readonly string[]> {
  return key({ type: "texts", choices: [], format }, [], about);
}

/** A list of texts out of a few. */
export function choices<const Choices extends readonly string[]>(
  allowed: Choices,
  about: string,
): Key<readonly Choices[number][]> {
  return key({ type: "texts", choices: allowed, format: "any" }, [], about);
}

/** Headers. Their values are secret: one may hold a password. */
export function headers(about: string): Key<Readonly<Record<string, string>>> {
  return key({ type: "headers" }, {}, about, true);
}

export function section<Inside extends Keys>(about: string, keys: Inside): Section<Inside> {
  return { kind: "section", about, keys };
}

export function list<Inside extends Keys>(about: string, keys: Inside): List<Inside> {
  return { kind: "list", about, item: section(about, keys) };
}

/** The default of a key as the file would have it. */
export function defaultOf({ rule, fallback }: Key): unknown {
  return rule.type === "duration" ? formatDuration(Number(fallback)) : fallback;
}

/** One key with its place in the file. */
export interface NamedKey {
  /** `client.token.hmac_secret_key`; in a list `channel.namespaces[].name`. */
  readonly path: string;
  readonly node: Key | List;
  /** Environment variable; undefined in a list, whose variable holds all of it. */
  readonly variable: string | undefined;
}

/** All keys below a section in their order, lists before the keys of their objects. */
export function* keysIn(within: Section, path = "", inList = false): Generator<NamedKey> {
  for (const [name, node] of Object.entries(within.keys)) {
    const inner = path === "" ? name : `${path}.${name}`;
    if (node.kind === "section") yield* keysIn(node, inner, inList);
    else yield { path: inner, node, variable: inList ? undefined : variableOf(inner) };
    if (node.kind === "list") yield* keysIn(node.item, `${inner}[]`, true);
  }
}
