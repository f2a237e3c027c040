/**
 * Which topics have history and presence: the option `topics` of a board, checked and compiled. The main thread, each
 * shard and the engine thread have the same rules.
 */
import {
  checkNames,
  checkOption,
  integer,
  MAX_INT32,
  type OptionCheck,
  optionError,
} from "../../wire/handshake/option-check.ts";
import type { HistoryLimits, PresenceLimits } from "./engine.ts";

/** History of a topic, which makes the topic a stream. */
export interface HistoryOptions {
  /**
   * Number of publications that are kept. 1: only the newest, for topics whose newest publication is the whole state.
   */
  readonly size: number;
  /** Time after the last publication for which publications are kept, in ms. Default: 5 minutes. */
  readonly ttlMs?: number;
  /**
   * Time after the last publication or subscription for which the epoch and the top offset are kept, in ms. At least
   * `ttlMs` and a minute. Default: 24 days.
   */
  readonly metaTtlMs?: number;
}

/** Presence of a topic: who is subscribed now. */
export interface PresenceOptions {
  /**
   * Time after which a connection that has left is reported as gone, in ms: a user who comes back within that time, as
   * when a page is reloaded, has neither left nor joined. 0: at once. Default: 3 s.
   */
  readonly leaveGraceMs?: number;
  /** True to report joins and leaves to subscribers that ask for them. Default: true. */
  readonly changes?: boolean;
}

/**
 * History and presence of a topic, beside its subscribers. `{ presence: false }`: neither, where a later pattern would
 * give the topic one.
 */
export interface TopicOptions {
  readonly history?: HistoryOptions;
  /** `true`: with the default options. */
  readonly presence?: boolean | PresenceOptions;
}

/**
 * Options by pattern of topic. `*` in a pattern stands for any characters, also none. The first pattern that matches a
 * topic counts.
 */
export type TopicsOption = Readonly<Record<string, TopicOptions>>;

/** The options of the topics of one pattern, with defaults. Can be cloned. */
export interface TopicRule {
  readonly pattern: string;
  readonly history: HistoryLimits | undefined;
  readonly presence: PresenceLimits | undefined;
}

const MAX_PATTERN_BYTES = 255;
const MAX_PATTERNS = 1_000;
/** Largest number of publications that a stream may keep. */
const MAX_SIZE = 1_000_000;
const DEFAULT_TTL_MS = 300_000;
const DEFAULT_META_TTL_MS = 24 * 24 * 60 * 60 * 1_000;
/** Each wanted stream is read every 30 s, which keeps its epoch while somebody is subscribed. */
const MIN_META_TTL_MS = 60_000;
const DEFAULT_LEAVE_GRACE_MS = 3_000;

/** Checks the option `topics` of a call and fills in the defaults. Throws `ERR_OPTION`, by the name of the pattern. */
export function checkTopics(call: string, topics: TopicsOption | undefined): TopicRule[] {
  if (topics === undefined) return [];
  if (!isObject(topics)) {
    throw optionError(`${call}: topics takes an object of options by pattern, got ${kindOf(topics)}`);
  }
  const patterns = Object.keys(topics);
  if (patterns.length > MAX_PATTERNS) {
    throw optionError(`${call}: topics takes at most ${MAX_PATTERNS} patterns, got ${patterns.length}`);
  }
  const rules = patterns.map((pattern) => checkRule(call, pattern, topics[pattern] as TopicOptions));
  for (const [index, { pattern }] of rules.entries()) {
    const earlier = rules.slice(0, index).find((other) => compilePattern(other.pattern)(pattern));
    if (earlier === undefined) continue;
    const [name, before] = [JSON.stringify(pattern), JSON.stringify(earlier.pattern)];
    throw optionError(`${call}: topics: the pattern ${name} never counts, because ${before} stands before it`);
  }
  return rules;
}

function checkRule(call: string, pattern: string, options: TopicOptions): TopicRule {
  const where = `${call}: topics[${JSON.stringify(pattern)}]`;
  if (pattern === "" || Buffer.byteLength(pattern) > MAX_PATTERN_BYTES) {
    throw optionError(`${where}: a pattern has 1 to ${MAX_PATTERN_BYTES} bytes`);
  }
  checkKeys(where, options, ["history", "presence"]);
  const history = options.history === undefined ? undefined : checkHistory(`${where}.history`, options.history);
  const presence = checkPresence(`${where}.presence`, options.presence);
  if (history === undefined && options.presence === undefined) {
    throw optionError(`${where} takes history, presence or both`);
  }
  return { pattern, history, presence };
}

function checkHistory(where: string, options: HistoryOptions): HistoryLimits {
  checkKeys(where, options, ["size", "ttlMs", "metaTtlMs"]);
  const size = checkInteger(where, "size", options.size, 1, MAX_SIZE);
  const ttlMs = checkInteger(where, "ttlMs", options.ttlMs ?? DEFAULT_TTL_MS, 1, MAX_INT32);
  const metaTtlMs = options.metaTtlMs ?? Math.max(DEFAULT_META_TTL_MS, ttlMs);
  const least = Math.max(MIN_META_TTL_MS, ttlMs);
  return { size, ttlMs, metaTtlMs: checkInteger(where, "metaTtlMs", metaTtlMs, least, MAX_INT32) };
}

function checkPresence(where: string, options: boolean | PresenceOptions | undefined): PresenceLimits | undefined {
  if (options === undefined || options === false) return undefined;
  if (options === true) return { leaveGraceMs: DEFAULT_LEAVE_GRACE_MS, changes: true };
  checkKeys(where, options, ["leaveGraceMs", "changes"]);
  const { leaveGraceMs = DEFAULT_LEAVE_GRACE_MS, changes = true } = options;
  checkInteger(where, "leaveGraceMs", leaveGraceMs, 0, MAX_INT32);
  checkOption(where, "changes", changes, BOOLEAN);
  return { leaveGraceMs, changes };
}

function checkKeys(where: string, options: unknown, known: readonly string[]): void {
  if (!isObject(options)) throw optionError(`${where} takes an object, got ${kindOf(options)}`);
  checkNames(where, options, known);
}

function checkInteger(where: string, name: string, value: unknown, from: number, to: number): number {
  checkOption(where, name, value, integer(from, to));
  return Number(value);
}

const BOOLEAN: OptionCheck = { takes: "true or false", accepts: (value) => typeof value === "boolean" };

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Names the kind of a value that should be an object, in words that follow "got". */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  return value === null ? "null" : typeof value;
}

function compilePattern(pattern: string): (topic: string) => boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return (topic) => topic === pattern;
  return (topic) => {
    if (!topic.startsWith(first)) return false;
    let at = first.length;
    for (const part of rest) {
      const found = topic.indexOf(part, at);
      if (found === -1) return false;
      at = found + part.length;
    }
    return topic.length - last.length >= at && topic.endsWith(last);
  };
}

/** Number of topics whose rule is remembered. */
const MAX_REMEMBERED = 10_000;

/** The rules of a board, by topic. */
export class TopicRules {
  readonly #rules: readonly { readonly rule: TopicRule; readonly matches: (topic: string) => boolean }[];
  /** Rules by topic; null for a topic without one, so that one look finds either. */
  readonly #remembered = new Map<string, TopicRule | null>();

  constructor(rules: readonly TopicRule[]) {
    this.#rules = rules.map((rule) => ({ rule, matches: compilePattern(rule.pattern) }));
  }

  /** Returns the rule of a topic; undefined for a topic without history and presence. */
  of(topic: string): TopicRule | undefined {
    if (this.#rules.length === 0) return undefined;
    const remembered = this.#remembered.get(topic);
    if (remembered !== undefined) return remembered ?? undefined;
    const found = this.#rules.find(({ matches }) => matches(topic))?.rule;
    const rule = found?.history === undefined && found?.presence === undefined ? undefined : found;
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(topic, rule ?? null);
    return rule;
  }
}
