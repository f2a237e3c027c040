/** The reader of a config: from the text of the file and the variables to values, with all faults at once. */
import { type Node, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser";
import { checkValue, type RawValue } from "./check-value.ts";
import { fieldName, type Key, keysIn, type List, type Section } from "./description.ts";
import { type ConfigFault, NOWHERE, type Place, Source } from "./fault.ts";
import { isForeignKey } from "./keys/foreign-keys.ts";
import { nearest } from "./suggest.ts";

/** Texts that stand for values of keys: environment variables and flags. By path of the key. */
export type Overrides = ReadonlyMap<string, { readonly name: string; readonly text: string }>;

const SYNTAX: Readonly<Record<string, string>> = {
  ColonExpected: "a colon is missing",
  CommaExpected: "a comma is missing",
  CloseBraceExpected: "a } is missing",
  CloseBracketExpected: "a ] is missing",
  EndOfFileExpected: "the config ends before this",
  InvalidCharacter: "this character needs an escape",
  InvalidEscapeCharacter: "there is no such escape",
  InvalidNumberFormat: "this is no number",
  InvalidSymbol: "text and names stand in double quotes",
  InvalidUnicode: "there is no such escape",
  PropertyNameExpected: "a name in double quotes is missing",
  UnexpectedEndOfComment: "this comment has no end",
  UnexpectedEndOfString: "this text has no closing quote",
  ValueExpected: "a value is missing",
};

/** Reads a config once. Faults and warnings gather in the order of the file. */
export class ConfigReader {
  readonly faults: ConfigFault[] = [];
  readonly warnings: ConfigFault[] = [];
  /** Places of all keys and sections that are given. */
  readonly #places = new Map<string, Place>();
  /** Keys with a fault, and keys that were meant by a name that is wrong. */
  readonly #broken = new Set<string>();
  readonly #root: Section;
  readonly #overrides: Overrides;
  /** True if the text isn't JSON: what is missing may be there. */
  garbled = false;

  constructor(root: Section, overrides: Overrides) {
    this.#root = root;
    this.#overrides = overrides;
  }

  /** Reads the text of a file; "{}" if there is none. Returns values for all keys: defaults in the place of faults. */
  read(text: string): Record<string, unknown> {
    const source = new Source(text);
    return this.#readSection(this.#root, this.#parse(source, ""), "", source);
  }

  /** True if the key is given, in the file or by a variable. */
  has(path: string): boolean {
    return this.#places.has(path);
  }

  /**
   * Adds a fault that lies in several keys together. The first one is the place. Nothing is added if one of them has a
   * fault already, because its value isn't known.
   */
  fault(paths: readonly string[], message: string): void {
    if (!this.garbled && !paths.some((path) => this.#broken.has(path))) {
      this.faults.push({ ...this.#placeOf(paths[0] ?? ""), path: paths[0] ?? "", message });
    }
  }

  /** Adds a warning about several keys together. */
  warn(paths: readonly string[], message: string): void {
    if (!this.garbled && !paths.some((path) => this.#broken.has(path))) {
      this.warnings.push({ ...this.#placeOf(paths[0] ?? ""), path: paths[0] ?? "", message });
    }
  }

  /** Place of the key, or of the closest section around it that is given. */
  #placeOf(path: string): Place {
    for (let at = path; at !== ""; at = at.replace(/\.?[^.]+$/, "")) {
      const place = this.#places.get(at);
      if (place !== undefined) return place;
    }
    return NOWHERE;
  }

  #parse(source: Source, path: string): Node | undefined {
    const errors: ParseError[] = [];
    const root = this.#parseTree(source.text, errors, path);
    let lastLine = -1;
    for (const { error, offset } of errors) {
      this.garbled = true;
      const place = source.placeAt(offset);
      // One fault makes others that stand behind it.
      if (place.line === lastLine) continue;
      lastLine = place.line;
      const reason = SYNTAX[printParseErrorCode(error)] ?? "this is no JSON";
      this.faults.push({ ...place, path, message: `isn't JSON: ${reason}` });
    }
    return root;
  }

  #parseTree(text: string, errors: ParseError[], path: string): Node | undefined {
    try {
      return parseTree(text, errors, { allowTrailingComma: true });
    } catch (error) {
      // The parser calls itself for each object in an object.
      if (!(error instanceof RangeError)) throw error;
      this.garbled = true;
      this.faults.push({ ...NOWHERE, path, message: "has too many objects or lists in each other" });
      return undefined;
    }
  }

  #addFault(path: string, place: Place, message: string): void {
    this.#broken.add(path);
    this.faults.push({ ...place, path, message });
  }

  #readSection(section: Section, node: Node | undefined, path: string, source: Source): Record<string, unknown> {
    const given = new Map<string, Node>();
    if (node !== undefined && node.type !== "object") {
      this.#addFault(path, source.placeAt(node.offset), `takes an object, such as { … }, not ${describe(node)}`);
      this.#breakAll(section, path);
    }
    for (const { offset, children = [] } of node?.type === "object" ? (node.children ?? []) : []) {
      const name = String(children[0]?.value);
      const inner = join(path, name);
      const place = source.placeAt(offset);
      if (given.has(name)) this.#addFault(inner, place, "stands here a second time: leave out one of them");
      else if (Object.hasOwn(section.keys, name)) this.#places.set(inner, place);
      else if (inner !== "$schema") this.#addUnknown(section, path, name, place);
      const value = children[1];
      if (value !== undefined) given.set(name, value);
    }
    const fields = Object.entries(section.keys).map(([name, child]) => {
      const inner = join(path, name);
      return [fieldName(name, child), this.#readChild(child, given.get(name), inner, source)];
    });
    return Object.fromEntries(fields);
  }

  #readChild(child: Key | Section | List, node: Node | undefined, path: string, source: Source): unknown {
    if (child.kind === "section") return this.#readSection(child, node, path, source);
    const override = this.#overrides.get(path);
    if (child.kind === "key") {
      const inFile = this.#readKey(child, node, path, source);
      if (override === undefined) return inFile;
      const variable = new Source(override.text, override.name);
      this.#places.set(path, variable.placeAt(0));
      return this.#readKey(child, this.#parseText(child, variable, path), path, variable);
    }
    const inFile = this.#readList(child, node, path, source);
    if (override === undefined) return inFile;
    const variable = new Source(override.text, override.name);
    this.#places.set(path, variable.placeAt(0));
    return this.#readList(child, this.#parse(variable, path), path, variable);
  }

  #readKey(key: Key, node: RawValue | undefined, path: string, source: Source): unknown {
    if (node === undefined) return key.fallback;
    const checked = checkValue(key, node);
    if (checked.kind === "value") return checked.value;
    this.#broken.add(path);
    for (const { message, item } of checked.faults) {
      const wrong = item === undefined ? node : (node.children?.[item] ?? node);
      const place = source.placeAt("offset" in wrong ? (wrong.offset as number) : 0);
      this.#addFault(item === undefined ? path : `${path}[${item}]`, place, message);
    }
    return key.fallback;
  }

  /** The value of a variable: JSON for objects, and lists if they begin with [; else lists have commas or spaces. */
  #parseText({ rule, secret }: Key, source: Source, path: string): RawValue | undefined {
    const { text } = source;
    const trimmed = text.trim();
    if (rule.type === "boolean" && /^(true|false)$/.test(trimmed))
      return { type: "boolean", value: trimmed === "true" };
    if (rule.type === "integer" && /^-?\d+$/.test(trimmed)) return { type: "number", value: Number(trimmed) };
    if (rule.type === "headers" || (rule.type === "texts" && trimmed.startsWith("["))) return this.#parse(source, path);
    if (rule.type === "texts") {
      const items = trimmed.split(/[\s,]+/).filter((item) => item !== "");
      return { type: "array", children: items.map((value) => ({ type: "string", value, offset: 0, length: 0 })) };
    }
    // A secret may begin or end with a space.
    return { type: "string", value: secret || rule.type === "text" ? text : trimmed };
  }

  #readList(list: List, node: Node | undefined, path: string, source: Source): unknown {
    if (node === undefined) return [];
    if (node.type !== "array") {
      this.#addFault(path, source.placeAt(node.offset), `takes a list, such as [{ … }], not ${describe(node)}`);
      return [];
    }
    return (node.children ?? []).map((item, at) => {
      const inner = `${path}[${at}]`;
      this.#places.set(inner, source.placeAt(item.offset));
      return this.#readSection(list.item, item, inner, source);
    });
  }

  #addUnknown(section: Section, path: string, name: string, place: Place): void {
    const inner = join(path, name);
    if (isForeignKey(path, name)) {
      this.#addFault(inner, place, "is a key of Centrifugo that means nothing here: remove it");
      return;
    }
    const meant = nearest(name, Object.keys(section.keys));
    const elsewhere = meant === undefined ? this.#keysEndingWith(name) : [];
    // This fault is enough: a check that misses the key that was meant would only confuse.
    if (meant !== undefined) this.#broken.add(join(path, meant));
    for (const other of elsewhere) this.#broken.add(other);
    const hint = meant ?? (elsewhere.length > 0 ? elsewhere.slice(0, 3).join(" or ") : undefined);
    this.#addFault(inner, place, `there is no such key${hint === undefined ? "" : `; did you mean ${hint}?`}`);
  }

  /** Keys of the whole file whose path ends with the name, also with _ for each dot: `api_key` is `http_api.key`. */
  #keysEndingWith(name: string): string[] {
    const paths = Array.from(keysIn(this.#root), ({ path }) => path).filter((path) => !path.includes("[]."));
    return paths.filter((path) => `_${path.replaceAll(".", "_")}`.endsWith(`_${name}`));
  }

  /** Marks all keys of a section as broken. */
  #breakAll(section: Section, path: string): void {
    for (const { path: inner } of keysIn(section, path)) this.#broken.add(inner);
  }
}

/**
 * Path of a key in a section. A name that no key has is in quotes where a terminal could take it for something else.
 */
function join(path: string, name: string): string {
  const shown = /^[\w$-]{1,80}$/.test(name) ? name : JSON.stringify(name.slice(0, 80));
  return path === "" ? shown : `${path}.${shown}`;
}

/** Name of a value's type, for messages that must not show the value. */
function describe({ type }: Node): string {
  if (type === "string") return "text";
  return type === "null" ? "null" : type === "array" ? "a list" : `${type === "object" ? "an" : "a"} ${type}`;
}
