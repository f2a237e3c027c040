/** The check of one value against the rule of its key. */
import type { Node } from "jsonc-parser";
import { originsCheck } from "../../wire/handshake/origins.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import type { Key, Rule, TextFormat } from "./description.ts";
import { formatDuration, parseDuration } from "./duration.ts";

/** A value as the parser gives it. */
export type RawValue = Pick<Node, "type" | "value" | "children">;

export type Checked =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "faults"; readonly faults: readonly ValueFault[] };

/** Says what a key takes. `item` is the number of the element of a list with the fault. */
interface ValueFault {
  readonly message: string;
  readonly item?: number;
}

/** Name of a namespace. */
const NAMESPACE = /^[-a-zA-Z0-9_.]{2,250}$/;
/** Sources: RFC 9110, sections 5.1 and 5.5. */
export const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
export const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** Longest value in a message. */
const MAX_SHOWN = 60;

/** Checks a value. */
export function checkValue(key: Key, raw: RawValue): Checked {
  const { rule } = key;
  const given = raw.value as unknown;
  const refuse = (takes: string): Checked => refusal(`takes ${takes}, not ${show(key, raw)}`);
  switch (rule.type) {
    case "boolean":
      return typeof given === "boolean" ? accept(given) : refuse(`true or false${quotesHint(key, raw)}`);
    case "integer":
      if (Number.isInteger(given) && Number(given) >= rule.least && Number(given) <= rule.most) return accept(given);
      return refuse(`${rangeOf(rule)}${quotesHint(key, raw)}`);
    case "duration":
      return checkDuration(key, rule, raw);
    case "choice":
      return rule.choices.includes(given as string) ? accept(given) : refuse(oneOf(rule.choices));
    case "text": {
      if (typeof given !== "string") return refuse("text in quotes");
      const wrong = given === "" ? undefined : checkFormat(rule.format, given);
      return wrong === undefined ? accept(given) : refuse(wrong);
    }
    case "texts":
      return checkTexts(key, rule, raw);
    case "headers":
      return checkHeaders(key, raw);
  }
}

function accept(value: unknown): Checked {
  return { kind: "value", value };
}

function refusal(message: string): Checked {
  return { kind: "faults", faults: [{ message }] };
}

function checkDuration(key: Key, { least, most }: Rule & { readonly type: "duration" }, raw: RawValue): Checked {
  const given = raw.value as unknown;
  const takes = `a duration with its unit in quotes, such as "300ms", "25s", "5m", "1h" or "30d"`;
  if (given === 0 && least === 0) return accept(0);
  const ms = typeof given === "string" ? parseDuration(given) : undefined;
  if (ms === undefined) return refusal(`takes ${takes}, not ${show(key, raw)}`);
  if (ms >= least && ms <= most) return accept(ms);
  const limit = ms < least ? `at least "${formatDuration(least)}"` : `at most "${formatDuration(most)}"`;
  return refusal(`takes ${limit}, not ${show(key, raw)}`);
}

function checkTexts(key: Key, { choices, format }: Rule & { readonly type: "texts" }, raw: RawValue): Checked {
  if (raw.type !== "array") return refusal(`takes a list of text, such as ["…"], not ${show(key, raw)}`);
  const items = raw.children ?? [];
  const fault = (value: unknown): string | undefined => {
    if (choices.length > 0) return choices.includes(value as string) ? undefined : oneOf(choices);
    return typeof value !== "string" || value === "" ? "text in quotes" : checkFormat(format, value);
  };
  const faults = items.flatMap((one, item): ValueFault[] => {
    const takes = fault(one.value);
    return takes === undefined ? [] : [{ message: `takes ${takes}, not ${show(key, one)}`, item }];
  });
  return faults.length > 0 ? { kind: "faults", faults } : accept(items.map(({ value }) => value as string));
}

function checkHeaders(key: Key, raw: RawValue): Checked {
  const entries = (raw.children ?? []).map(({ children = [] }) => [children[0]?.value, children[1]?.value] as const);
  if (raw.type !== "object") {
    return refusal(`takes an object of text, such as { "name": "text" }, not ${show(key, raw)}`);
  }
  const faults = entries.flatMap(([name, value]): ValueFault[] => {
    const message = headerFault(String(name), value);
    return message === undefined ? [] : [{ message }];
  });
  // Makes own properties of all names, `__proto__` included.
  return faults.length > 0 ? { kind: "faults", faults } : accept(Object.fromEntries(entries));
}

/** Says why a header can't be sent; undefined if it can. */
function headerFault(name: string, value: unknown): string | undefined {
  const shown = JSON.stringify(name).slice(0, MAX_SHOWN);
  if (!HEADER_NAME.test(name)) return `takes names of headers, such as "X-Key", and ${shown} can't be one`;
  if (typeof value !== "string") return `takes text in quotes for each header, and that of ${shown} isn't`;
  if (HEADER_VALUE.test(value)) return undefined;
  const takes = "takes values that can stand in a header: no line breaks, no characters beyond Latin-1";
  return `${takes}, and that of ${shown} can't`;
}

/** Returns the form that the text should have had; undefined if the text has it. */
function checkFormat(format: TextFormat, text: string): string | undefined {
  switch (format) {
    case "any":
      return undefined;
    case "url":
      return isUrl(text, ["http:", "https:"]) ? undefined : 'an http: or https: URL, such as "http://localhost:3000/x"';
    case "redis": {
      const url = text.includes("://") ? text : `redis://${text}`;
      if (isUrl(url, ["redis:", "rediss:"])) return undefined;
      return 'a redis: or rediss: URL, such as "redis://127.0.0.1:6379"';
    }
    case "prefix":
      if (/^(\/[\w.~-]+)+$/.test(text)) return undefined;
      return 'a path of letters, digits, -, _, . and ~ that doesn\'t end with /, such as "/api"';
    case "name":
      return text.length <= 255 ? undefined : "at most 255 characters";
    case "key prefix":
      return Buffer.byteLength(text) <= 100 && !/[{}]/.test(text) ? undefined : "1 to 100 bytes without braces";
    case "regex":
      return regexFault(text);
    case "rsa":
    case "ecdsa":
      return publicKeyFault(format, text);
    case "origin":
      if (text === "*" || originsCheck.accepts([text])) return undefined;
      return 'origins as browsers send them, such as "https://example.com"';
    case "header name":
      return HEADER_NAME.test(text) ? undefined : 'names of headers, such as "X-Key"';
    case "namespace":
      return NAMESPACE.test(text) ? undefined : "2 to 250 letters, digits, -, _ or .";
  }
}

function isUrl(text: string, protocols: readonly string[]): boolean {
  const url = URL.parse(text);
  return url !== null && protocols.includes(url.protocol) && url.hostname !== "";
}

function regexFault(text: string): string | undefined {
  try {
    new RegExp(text, "u");
    return undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split(": ").at(-1) : "";
    return `a regular expression of JavaScript (this one has a fault: ${reason})`;
  }
}

/** Curves of the algorithms of RFC 7518, section 3.4, as OpenSSL names them. */
const CURVES = ["prime256v1", "secp384r1", "secp521r1"];

function publicKeyFault(kind: "rsa" | "ecdsa", pem: string): string | undefined {
  const takes = kind === "rsa" ? "an RSA key of 2048 bits or more" : "an ECDSA key of P-256, P-384 or P-521";
  try {
    const { asymmetricKeyType, asymmetricKeyDetails: { modulusLength = 0, namedCurve = "" } = {} } =
      builtins.crypto.createPublicKey(pem);
    const isRight = kind === "rsa" ? asymmetricKeyType === "rsa" && modulusLength >= 2048 : CURVES.includes(namedCurve);
    return isRight ? undefined : takes;
  } catch {
    return `${takes} in PEM, which begins with -----BEGIN PUBLIC KEY-----`;
  }
}

function rangeOf({ least, most }: Rule & { readonly type: "integer" }): string {
  return `a whole number ${most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`}`;
}

function oneOf(choices: readonly string[]): string {
  const quoted = choices.map((text) => JSON.stringify(text));
  return quoted.length < 2 ? quoted.join() : `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}

/** Says to leave out the quotes if the value is right but for them. */
function quotesHint(key: Key, { value }: RawValue): string {
  if (key.secret || typeof value !== "string") return "";
  const right = key.rule.type === "boolean" ? /^(true|false)$/ : /^-?\d{1,15}$/;
  return right.test(value) ? " without quotes" : "";
}

/** A value for a message. A secret is told by its length only. */
function show(key: Key, { type, value }: RawValue): string {
  if (type === "array" || type === "object") return type === "array" ? "a list" : "an object";
  if (!key.secret || value === null) {
    const json = JSON.stringify(value);
    return json.length <= MAX_SHOWN ? json : `${json.slice(0, MAX_SHOWN)}… (${json.length} characters)`;
  }
  return typeof value === "string" ? `these ${value.length} characters` : `a ${type}`;
}
