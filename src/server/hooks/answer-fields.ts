/** Reads the members of objects in the application's answers, and checks their types. `null` counts as left out. */
import { memberSpans, type Span } from "../protocol/json/scan.ts";
import { isJson } from "../protocol/json/validate.ts";

/** A field of an answer has a wrong type or value. The message is for the operator. */
export class WrongField extends Error {}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export class Fields {
  readonly #bytes: Buffer;
  readonly #members: ReadonlyMap<string, Span>;
  /** Path of these fields in the answer, such as "result". */
  readonly #path: string;

  constructor(bytes: Buffer, members: ReadonlyMap<string, Span>, path: string) {
    this.#bytes = bytes;
    this.#members = members;
    this.#path = path;
  }

  /** The fields of an answer's body. Throws `WrongField` if the body is no JSON object. */
  static of(body: Buffer): Fields {
    if (body.length === 0) throw new WrongField("its body is empty");
    if (!isJson(body)) throw new WrongField("its body is no JSON");
    const members = memberSpans(body, { start: 0, end: body.length });
    if (members === undefined) throw new WrongField("its body is no JSON object");
    return new Fields(body, members, "");
  }

  get names(): readonly string[] {
    return [...this.#members.keys()];
  }

  has(name: string): boolean {
    return this.#members.has(name);
  }

  string(name: string): string | undefined {
    const raw = this.raw(name);
    if (raw === undefined) return undefined;
    return raw.startsWith('"') ? (JSON.parse(raw) as string).toWellFormed() : this.#wrong(name, "a string");
  }

  boolean(name: string): boolean | undefined {
    const raw = this.raw(name);
    if (raw === undefined) return undefined;
    return raw === "true" || (raw === "false" ? false : this.#wrong(name, "true or false"));
  }

  /** A whole number that isn't negative. */
  count(name: string): number | undefined {
    const raw = this.raw(name);
    if (raw === undefined) return undefined;
    const value = /^\d+$/.test(raw) ? Number(raw) : Number.NaN;
    return Number.isSafeInteger(value) ? value : this.#wrong(name, "a whole number of at least 0");
  }

  /** An object. An empty array counts as one without members, because PHP writes an empty object so. */
  object(name: string): Fields | undefined {
    const span = this.#members.get(name);
    const raw = this.raw(name);
    if (span === undefined || raw === undefined) return undefined;
    const members = /^\[\s*\]$/.test(raw) ? new Map<string, Span>() : memberSpans(this.#bytes, span);
    return new Fields(this.#bytes, members ?? this.#wrong(name, "an object"), this.#pathOf(name));
  }

  /** An object whose members are all strings. */
  strings(name: string): Record<string, string> | undefined {
    const fields = this.object(name);
    if (fields === undefined) return undefined;
    return Object.fromEntries(fields.names.map((one) => [one, fields.string(one) ?? ""]));
  }

  /** A list of strings. */
  list(name: string): string[] | undefined {
    const raw = this.raw(name);
    if (raw === undefined) return undefined;
    const value: unknown = JSON.parse(raw);
    const valid = Array.isArray(value) && value.every((one) => typeof one === "string");
    return valid ? value : this.#wrong(name, "a list of strings");
  }

  /** A payload: that of `b64<name>` if it is there, else the raw text of the field. */
  payload(name: string): Buffer | undefined {
    const base64 = this.string(`b64${name}`) ?? "";
    if (base64 !== "") {
      return BASE64.test(base64) ? Buffer.from(base64, "base64") : this.#wrong(`b64${name}`, "Base64 with padding");
    }
    const raw = this.raw(name);
    return raw === undefined ? undefined : Buffer.from(raw);
  }

  /** The text of a field; undefined if it is left out or `null`. */
  raw(name: string): string | undefined {
    const span = this.#members.get(name);
    if (span === undefined) return undefined;
    const raw = this.#bytes.toString("utf8", span.start, span.end);
    return raw === "null" ? undefined : raw;
  }

  #pathOf(name: string): string {
    return this.#path === "" ? name : `${this.#path}.${name}`;
  }

  #wrong(name: string, wanted: string): never {
    throw new WrongField(`${this.#pathOf(name)} in its answer has to be ${wanted}`);
  }
}
