import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FilterNode } from "../../../src/server/protocol/messages.ts";
import {
  checkFilter,
  MAX_FILTER_DEPTH,
  MAX_FILTER_NODES,
  MAX_FILTER_VALUES,
  matches,
} from "../../../src/server/protocol/tag-filter.ts";

function node(fields: Partial<FilterNode>): FilterNode {
  return { op: "", key: "", cmp: "", val: "", vals: [], nodes: [], ...fields };
}

function compare(key: string, cmp: string, val: string | readonly string[] = ""): FilterNode {
  return node(typeof val === "string" ? { key, cmp, val } : { key, cmp, vals: val });
}

function combine(op: string, ...nodes: FilterNode[]): FilterNode {
  return node({ op, nodes });
}

function nested(levels: number): FilterNode {
  return levels === 1 ? compare("a", "ex") : combine("not", nested(levels - 1));
}

describe("checkFilter", () => {
  it.each<[string, FilterNode, string | undefined]>([
    ["a comparison with one value", compare("a", "eq", "1"), undefined],
    ["a comparison with a list", compare("a", "in", ["1", ""]), undefined],
    ["a comparison with neither", compare("a", "nex"), undefined],
    ["a question for the tag without a name", compare("", "ex"), undefined],
    ["a tree", combine("and", combine("not", compare("a", "gt", "1")), combine("or", compare("b", "ex"))), undefined],
    ["the deepest tree", nested(MAX_FILTER_DEPTH), undefined],
    ["no cmp", compare("a", ""), 'a comparison needs "cmp"'],
    ["an unknown cmp", compare("a", "like", "1"), 'unknown cmp "like"'],
    ["a cmp that objects have", compare("a", "constructor", "1"), 'unknown cmp "constructor"'],
    ["an unknown op", combine("xor", compare("a", "ex")), 'unknown op "xor"'],
    ["a long op", combine("x".repeat(1_000)), `unknown op "${"x".repeat(32)}"`],
    ["no val", compare("a", "sw"), '"sw" needs "val"'],
    ["vals beside val", node({ key: "a", cmp: "eq", val: "1", vals: ["1"] }), '"eq" takes no "vals"'],
    ["no vals", compare("a", "nin"), '"nin" needs "vals"'],
    ["val beside vals", node({ key: "a", cmp: "in", val: "1", vals: ["1"] }), '"in" takes no "val"'],
    ["a val that isn't looked at", compare("a", "ex", "1"), '"ex" takes no "val"'],
    ["no key", compare("", "eq", "1"), '"eq" needs "key"'],
    ["and of nothing", combine("and"), '"and" needs at least one node'],
    ["or of nothing", combine("or"), '"or" needs at least one node'],
    ["not of nothing", combine("not"), '"not" needs exactly one node'],
    ["not of two", combine("not", compare("a", "ex"), compare("b", "ex")), '"not" needs exactly one node'],
    ["a fault deep within", combine("and", compare("a", "ex"), combine("or", compare("a", "eq"))), '"eq" needs "val"'],
    ["a tree too deep", nested(MAX_FILTER_DEPTH + 1), `a filter has at most ${MAX_FILTER_DEPTH} levels`],
    [
      "too many nodes",
      combine("or", ...Array.from({ length: MAX_FILTER_NODES }, () => compare("a", "ex"))),
      `a filter has at most ${MAX_FILTER_NODES} nodes`,
    ],
    [
      "too many values",
      combine("or", compare("a", "in", Array(MAX_FILTER_VALUES).fill("1")), compare("a", "in", ["1"])),
      `a filter has at most ${MAX_FILTER_VALUES} values`,
    ],
  ])("%s", (_, filter, fault) => {
    expect(checkFilter(filter)).toBe(fault);
  });
});

describe("matches", () => {
  const tags = { city: "Lyon", price: "10.50", empty: "" };

  it.each<[string, string, string | readonly string[], boolean]>([
    ["city", "eq", "Lyon", true],
    ["city", "eq", "lyon", false],
    ["none", "eq", "Lyon", false],
    ["city", "neq", "Lyon", false],
    ["city", "neq", "Paris", true],
    ["none", "neq", "Paris", true],
    ["city", "in", ["Paris", "Lyon"], true],
    ["city", "in", ["Paris"], false],
    ["none", "in", ["Paris"], false],
    ["none", "in", [""], true],
    ["city", "nin", ["Paris", "Lyon"], false],
    ["city", "nin", ["Paris"], true],
    ["none", "nin", ["Paris"], true],
    ["none", "nin", [""], false],
    ["empty", "ex", "", true],
    ["none", "ex", "", false],
    ["empty", "nex", "", false],
    ["none", "nex", "", true],
    ["city", "sw", "Ly", true],
    ["city", "sw", "on", false],
    ["none", "sw", "Ly", false],
    ["city", "ew", "on", true],
    ["city", "ew", "Ly", false],
    ["none", "ew", "on", false],
    ["city", "ct", "yo", true],
    ["city", "ct", "oy", false],
    ["none", "ct", "yo", false],
    ["price", "lt", "10.51", true],
    ["price", "lt", "10.5", false],
    ["price", "lte", "10.5", true],
    ["price", "lte", "9", false],
    ["price", "gt", "9.99", true],
    ["price", "gt", "10.5", false],
    ["price", "gte", "10.500", true],
    ["price", "gte", "100", false],
    ["none", "lt", "1", false],
    ["city", "lt", "1", false],
    ["city", "gte", "1", false],
    ["price", "gt", "abc", false],
    ["constructor", "ex", "", false],
    ["__proto__", "ex", "", false],
    ["toString", "nex", "", true],
  ])("%s %s %j: %s", (key, cmp, val, expected) => {
    expect(matches(compare(key, cmp, val), tags)).toBe(expected);
  });

  it.each<[string, number, string]>([
    ["0", 0, "-0"],
    ["+1", 0, "1.0"],
    ["007", 0, "7"],
    ["-2", -1, "-1"],
    ["-1", -1, "0"],
    ["-1.5", -1, "1"],
    ["9", -1, "10"],
    ["0.09", -1, "0.1"],
    ["1.10", 1, "1.09"],
    ["9007199254740993", 1, "9007199254740992"],
    ["0.30000000000000000001", 1, "0.3"],
    [`1${"0".repeat(150)}`, 1, "9".repeat(150)],
  ])("compares %s and %s as decimals", (a, order, b) => {
    const is = (cmp: string) => matches(compare("a", cmp, b), { a });
    expect({ lt: is("lt"), lte: is("lte"), gt: is("gt"), gte: is("gte") }).toEqual({
      lt: order < 0,
      lte: order <= 0,
      gt: order > 0,
      gte: order >= 0,
    });
  });

  it.each(["", "+", "-", ".", ".5", "5.", "-.5", "1e3", "0x10", " 1", "1 ", "1,0", "--1", "NaN", "١", "1".repeat(201)])(
    "takes %j for no decimal",
    (text) => {
      for (const cmp of ["lt", "lte", "gt", "gte"]) {
        expect(matches(compare("a", cmp, "1"), { a: text })).toBe(false);
        expect(matches(compare("a", cmp, text), { a: "1" })).toBe(false);
      }
    },
  );

  it("orders any two decimals as integers of their last common digit", () => {
    const part = fc.tuple(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.nat(20));
    const text = ([digits, scale]: [bigint, number]) => {
      const padded = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, "0");
      const whole = padded.slice(0, padded.length - scale);
      return `${digits < 0n ? "-" : ""}${whole}${scale === 0 ? "" : `.${padded.slice(padded.length - scale)}`}`;
    };
    fc.assert(
      fc.property(part, part, (a, b) => {
        const left = a[0] * 10n ** BigInt(20 - a[1]);
        const right = b[0] * 10n ** BigInt(20 - b[1]);
        expect(matches(compare("a", "lt", text(b)), { a: text(a) })).toBe(left < right);
        expect(matches(compare("a", "lte", text(b)), { a: text(a) })).toBe(left <= right);
      }),
      { numRuns: 1_000 },
    );
  });

  it("combines comparisons", () => {
    const yes = compare("city", "ex");
    const no = compare("city", "nex");
    expect(matches(combine("and", yes, yes), tags)).toBe(true);
    expect(matches(combine("and", yes, no), tags)).toBe(false);
    expect(matches(combine("or", no, yes), tags)).toBe(true);
    expect(matches(combine("or", no, no), tags)).toBe(false);
    expect(matches(combine("not", no), tags)).toBe(true);
    expect(matches(combine("not", combine("or", no, combine("and", yes, yes))), tags)).toBe(false);
  });
});
