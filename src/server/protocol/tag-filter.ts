/**
 * Filters of subscriptions: conditions on the tags of publications. `checkFilter` is called once with a subscription,
 * `matches` for each publication.
 */
import type { FilterNode } from "./messages.ts";

/**
 * Nodes of a filter at most, comparisons included. Decoders read larger filters (`limits.ts`), so that clients hear
 * why.
 */
export const MAX_FILTER_NODES = 100;
/** Levels of nodes at most. */
export const MAX_FILTER_DEPTH = 10;
/** Values in all lists of a filter at most. */
export const MAX_FILTER_VALUES = 1_000;

/** The argument of each comparison: one value, a list, or none. */
const COMPARISONS: ReadonlyMap<string, "val" | "vals" | "none"> = new Map([
  ["eq", "val"],
  ["neq", "val"],
  ["in", "vals"],
  ["nin", "vals"],
  ["ex", "none"],
  ["nex", "none"],
  ["sw", "val"],
  ["ew", "val"],
  ["ct", "val"],
  ["lt", "val"],
  ["lte", "val"],
  ["gt", "val"],
  ["gte", "val"],
]);

/** Returns the first fault of a filter in words, or undefined if `matches` can take the filter. */
export function checkFilter(filter: FilterNode): string | undefined {
  const left = { nodes: MAX_FILTER_NODES, values: MAX_FILTER_VALUES };
  return checkNode(filter, 1, left);
}

function checkNode(node: FilterNode, depth: number, left: { nodes: number; values: number }): string | undefined {
  if (depth > MAX_FILTER_DEPTH) return `a filter has at most ${MAX_FILTER_DEPTH} levels`;
  if (--left.nodes < 0) return `a filter has at most ${MAX_FILTER_NODES} nodes`;
  switch (node.op) {
    case "":
      left.values -= node.vals.length;
      if (left.values < 0) return `a filter has at most ${MAX_FILTER_VALUES} values`;
      return checkComparison(node);
    case "and":
    case "or":
      if (node.nodes.length === 0) return `"${node.op}" needs at least one node`;
      break;
    case "not":
      if (node.nodes.length !== 1) return `"not" needs exactly one node`;
      break;
    default:
      return `unknown op ${quote(node.op)}`;
  }
  for (const child of node.nodes) {
    const fault = checkNode(child, depth + 1, left);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function checkComparison({ cmp, key, val, vals }: FilterNode): string | undefined {
  const takes = COMPARISONS.get(cmp);
  if (takes === undefined) return cmp === "" ? `a comparison needs "cmp"` : `unknown cmp ${quote(cmp)}`;
  if (takes === "val" && val === "") return `"${cmp}" needs "val"`;
  if (takes === "vals" && vals.length === 0) return `"${cmp}" needs "vals"`;
  if (takes !== "val" && val !== "") return `"${cmp}" takes no "val"`;
  if (takes !== "vals" && vals.length > 0) return `"${cmp}" takes no "vals"`;
  if (takes !== "none" && key === "") return `"${cmp}" needs "key"`;
  return undefined;
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 32));
}

/**
 * True if the tags fulfil a filter that `checkFilter` found without fault.
 *
 * A tag that isn't there fulfils only `neq`, `nin` and `nex`; for `in` and `nin` it counts as "". Numbers are compared
 * as decimals, exactly. A comparison of numbers is false if either side is no decimal.
 */
export function matches(filter: FilterNode, tags: Readonly<Record<string, string>>): boolean {
  switch (filter.op) {
    case "and":
      return filter.nodes.every((node) => matches(node, tags));
    case "or":
      return filter.nodes.some((node) => matches(node, tags));
    case "not":
      return filter.nodes.every((node) => !matches(node, tags));
    default:
      return compare(filter, Object.hasOwn(tags, filter.key) ? tags[filter.key] : undefined);
  }
}

function compare({ cmp, val, vals }: FilterNode, tag: string | undefined): boolean {
  switch (cmp) {
    case "neq":
      return tag !== val;
    case "in":
      return vals.includes(tag ?? "");
    case "nin":
      return !vals.includes(tag ?? "");
    case "nex":
      return tag === undefined;
  }
  if (tag === undefined) return false;
  switch (cmp) {
    case "eq":
      return tag === val;
    case "ex":
      return true;
    case "sw":
      return tag.startsWith(val);
    case "ew":
      return tag.endsWith(val);
    case "ct":
      return tag.includes(val);
    case "lt":
      return compareDecimals(tag, val) < 0;
    case "lte":
      return compareDecimals(tag, val) <= 0;
    case "gt":
      return compareDecimals(tag, val) > 0;
    case "gte":
      return compareDecimals(tag, val) >= 0;
    default:
      return false;
  }
}

/** Sign, digits before the point, digits after it. */
const DECIMAL = /^([+-]?)(\d+)(?:\.(\d+))?$/;
/** Characters of a decimal at most. */
const MAX_DECIMAL_LENGTH = 200;

/** Returns a number below, equal to or above 0; NaN if either text is no decimal. */
function compareDecimals(a: string, b: string): number {
  const left = parseDecimal(a);
  const right = parseDecimal(b);
  if (left === undefined || right === undefined) return Number.NaN;
  if (left.sign !== right.sign) return left.sign - right.sign;
  return left.sign * compareMagnitudes(left, right);
}

interface Decimal {
  /** -1, 0 or 1. */
  readonly sign: number;
  /** Digits before the point, without zeros in front. */
  readonly whole: string;
  /** Digits after the point, without zeros at the end. */
  readonly fraction: string;
}

function parseDecimal(text: string): Decimal | undefined {
  if (text.length > MAX_DECIMAL_LENGTH) return undefined;
  const match = DECIMAL.exec(text);
  if (match === null) return undefined;
  const [, sign, digits = "", decimals = ""] = match;
  let start = 0;
  while (digits[start] === "0") start++;
  let end = decimals.length;
  while (decimals[end - 1] === "0") end--;
  const whole = digits.slice(start);
  const fraction = decimals.slice(0, end);
  const isZero = whole === "" && fraction === "";
  return { sign: isZero ? 0 : sign === "-" ? -1 : 1, whole, fraction };
}

function compareMagnitudes(a: Decimal, b: Decimal): number {
  if (a.whole.length !== b.whole.length) return a.whole.length - b.whole.length;
  if (a.whole !== b.whole) return a.whole < b.whole ? -1 : 1;
  if (a.fraction === b.fraction) return 0;
  return a.fraction < b.fraction ? -1 : 1;
}
