/**
 * Reads the fields of one command of the HTTP API. A field of a wrong type is error 107; the message names the field.
 */
import { memberSpan, type Span } from "../protocol/json/scan.ts";
import { type ApiError, badRequest } from "./api-error.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** The text of a JSON object: payloads are taken from it as they were written. */
export interface JsonSource {
  readonly bytes: Buffer;
  readonly span: Span;
}

/** Longest text that an error shows. */
const MAX_SHOWN_LENGTH = 64;
/** Base64 of RFC 4648 section 4, with padding. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** A field that is missing or null has its zero value, as in Centrifugo. */
export class RequestFields {
  readonly #object: JsonObject;
  readonly #source: JsonSource;
  readonly #path: string;

  /**
   * @param source text of the same object
   * @param path names of the objects around this one, with dots: `since.`
   */
  constructor(object: unknown, source: JsonSource, path = "") {
    this.#path = path;
    if (typeof object !== "object" || object === null || Array.isArray(object)) {
      throw badRequest(`${path === "" ? "a command" : path.slice(0, -1)} takes an object, got ${show(object)}`);
    }
    this.#object = object as JsonObject;
    this.#source = source;
  }

  text(key: string, maxLength = Number.POSITIVE_INFINITY): string {
    const value = this.#object[key];
    if (value === undefined || value === null) return "";
    // Half a surrogate pair has no form in UTF-8.
    if (typeof value !== "string" || !value.isWellFormed()) throw this.#wrong(key, "a string", value);
    if (value.length > maxLength) throw this.#wrong(key, `a string of at most ${maxLength} characters`, value);
    return value;
  }

  /** The text of a field that must not be missing or empty. */
  needed(key: string): string {
    const value = this.text(key);
    if (value === "") throw badRequest(`${this.#path}${key} is missing or empty`);
    return value;
  }

  /** The text of a field; undefined if it is missing. */
  given(key: string): string | undefined {
    return this.has(key) ? this.text(key) : undefined;
  }

  has(key: string): boolean {
    return this.#object[key] !== undefined && this.#object[key] !== null;
  }

  flag(key: string): boolean {
    const value = this.#object[key];
    if (value === undefined || value === null) return false;
    if (typeof value !== "boolean") throw this.#wrong(key, "true or false", value);
    return value;
  }

  integer(key: string, min: number, max: number): number {
    const value = this.#object[key];
    if (value === undefined || value === null) return 0;
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max) return value;
    throw this.#wrong(key, `an integer from ${min} to ${max}`, value);
  }

  /** An unsigned integer of 64 bits, exact. */
  uint64(key: string): bigint {
    const value = this.#object[key];
    if (value === undefined || value === null) return 0n;
    if (typeof value === "number" && value >= 0) {
      if (Number.isSafeInteger(value)) return BigInt(value);
      const text = this.#textOf(key);
      if (/^\d{1,20}$/.test(text) && BigInt(text) < 1n << 64n) return BigInt(text);
    }
    throw this.#wrong(key, "an integer from 0 to 18446744073709551615", value);
  }

  texts(key: string): readonly string[] {
    const value = this.#object[key];
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) throw this.#wrong(key, "an array of strings", value);
    const wrong = value.find((one) => typeof one !== "string" || !one.isWellFormed());
    if (wrong !== undefined || value.includes(undefined)) throw this.#wrong(key, "an array of strings", wrong);
    return value;
  }

  /** Strings by name; undefined if there are none. */
  record(key: string): Readonly<Record<string, string>> | undefined {
    const value = this.#object[key];
    // PHP writes an empty object as [].
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return undefined;
    if (typeof value !== "object" || Array.isArray(value)) throw this.#wrong(key, "an object of strings", value);
    const names = Object.keys(value);
    for (const name of names) {
      const one = (value as JsonObject)[name];
      if (typeof one === "string" && one.isWellFormed() && name.isWellFormed()) continue;
      throw badRequest(`${this.#path}${key} takes an object of strings, got ${show(one)} for ${show(name)}`);
    }
    return names.length === 0 ? undefined : (value as Readonly<Record<string, string>>);
  }

  object(key: string): RequestFields | undefined {
    if (!this.has(key)) return undefined;
    const { bytes } = this.#source;
    return new RequestFields(this.#object[key], { bytes, span: this.#spanOf(key) }, `${this.#path}${key}.`);
  }

  /** The JSON text of a field as it was written: numbers keep their form. Undefined if the field is missing. */
  raw(key: string): Buffer | undefined {
    if (this.#object[key] === undefined) return undefined;
    const { start, end } = this.#spanOf(key);
    return this.#source.bytes.subarray(start, end);
  }

  /** Bytes in Base64; undefined if the field is missing or empty. */
  base64(key: string): Buffer | undefined {
    const value = this.text(key);
    if (value === "") return undefined;
    if (!BASE64.test(value)) throw this.#wrong(key, "Base64 with padding", value);
    return Buffer.from(value, "base64");
  }

  #spanOf(key: string): Span {
    return memberSpan(this.#source.bytes, this.#source.span, key) ?? { start: 0, end: 0 };
  }

  #textOf(key: string): string {
    const { start, end } = this.#spanOf(key);
    return this.#source.bytes.toString("latin1", start, end);
  }

  #wrong(key: string, takes: string, got: unknown): ApiError {
    return badRequest(`${this.#path}${key} takes ${takes}, got ${show(got)}`);
  }
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value) ?? typeof value;
  return text.length <= MAX_SHOWN_LENGTH ? text : `${text.slice(0, MAX_SHOWN_LENGTH)}…`;
}
