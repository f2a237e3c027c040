import { describe, expect, it } from "vitest";
import { checkTopics, TopicRules, type TopicsOption } from "../../../src/runtime/streams/topic-rules.ts";

const check = (topics: unknown) => checkTopics("Switchboard.start", topics as TopicsOption);
const history = { size: 10 };

describe("checkTopics", () => {
  it("fills in the defaults", () => {
    expect(check({ "room:*": { history: { size: 10 }, presence: true }, "price:*": { history: { size: 1 } } })).toEqual(
      [
        {
          pattern: "room:*",
          history: { size: 10, ttlMs: 300_000, metaTtlMs: 24 * 86_400_000 },
          presence: { leaveGraceMs: 3_000, changes: true },
        },
        {
          pattern: "price:*",
          history: { size: 1, ttlMs: 300_000, metaTtlMs: 24 * 86_400_000 },
          presence: undefined,
        },
      ],
    );
  });

  it("takes what is given", () => {
    const given = { history: { size: 1, ttlMs: 1, metaTtlMs: 60_000 }, presence: { leaveGraceMs: 0, changes: false } };
    expect(check({ t: given })).toEqual([{ pattern: "t", ...given }]);
  });

  it("keeps the meta as long as the list, when that lives longer than the default", () => {
    const [rule] = check({ t: { history: { size: 1, ttlMs: 2 ** 31 - 1 } } });
    expect(rule?.history?.metaTtlMs).toBe(2 ** 31 - 1);
  });

  it("has no rules without topics", () => {
    expect(check(undefined)).toEqual([]);
    expect(check({})).toEqual([]);
  });

  it("takes presence alone, and history without presence", () => {
    expect(check({ a: { presence: {} }, b: { history, presence: false } })).toMatchObject([
      { history: undefined, presence: { leaveGraceMs: 3_000, changes: true } },
      { history: { size: 10 }, presence: undefined },
    ]);
  });

  const bad: [unknown, string][] = [
    [null, "topics takes an object of options by pattern, got null"],
    [[], "topics takes an object of options by pattern, got an array"],
    ["room:*", "topics takes an object of options by pattern, got string"],
    [
      Object.fromEntries(Array.from({ length: 1_001 }, (_, index) => [`t${index}`, { history }])),
      "topics takes at most 1000 patterns, got 1001",
    ],
    [{ "": { history } }, 'topics[""]: a pattern has 1 to 255 bytes'],
    [{ ["é".repeat(128)]: { history } }, "a pattern has 1 to 255 bytes"],
    [{ t: undefined }, 'topics["t"] takes an object, got undefined'],
    [{ t: null }, 'topics["t"] takes an object, got null'],
    [{ t: [] }, 'topics["t"] takes an object, got an array'],
    [{ t: true }, 'topics["t"] takes an object, got boolean'],
    [{ t: {} }, 'topics["t"] takes history, presence or both'],
    [{ t: { presence: undefined } }, 'topics["t"] takes history, presence or both'],
    [{ t: { histroy: history } }, 'topics["t"]: unknown option "histroy"; the options are history, presence'],
    [{ t: { history: null } }, 'topics["t"].history takes an object, got null'],
    [{ t: { history: [] } }, 'topics["t"].history takes an object, got an array'],
    [{ t: { history: 10 } }, 'topics["t"].history takes an object, got number'],
    [{ t: { history: {} } }, 'topics["t"].history: size takes an integer from 1 to 1000000, got undefined'],
    [{ t: { history: { size: 0 } } }, "size takes an integer from 1 to 1000000, got 0"],
    [{ t: { history: { size: 1.5 } } }, "size takes an integer from 1 to 1000000, got 1.5"],
    [{ t: { history: { size: 1_000_001 } } }, "size takes an integer from 1 to 1000000, got 1000001"],
    [{ t: { history: { size: "5" } } }, 'size takes an integer from 1 to 1000000, got "5"'],
    [
      { t: { history: { size: 1, ttlMs: 0 } } },
      'topics["t"].history: ttlMs takes an integer from 1 to 2147483647, got 0',
    ],
    [{ t: { history: { size: 1, ttlMs: 2 ** 31 } } }, "ttlMs takes an integer from 1 to 2147483647, got 2147483648"],
    [
      { t: { history: { size: 1, ttlMs: 50, metaTtlMs: 59_999 } } },
      "metaTtlMs takes an integer from 60000 to 2147483647, got 59999",
    ],
    [{ t: { history: { size: 1, metaTtlMs: 2 ** 31 } } }, "metaTtlMs takes an integer from 300000 to 2147483647"],
    [
      { t: { history: { size: 1, ttl: 5 } } },
      'topics["t"].history: unknown option "ttl"; the options are size, ttlMs, metaTtlMs',
    ],
    [{ t: { presence: "yes" } }, 'topics["t"].presence takes an object, got string'],
    [{ t: { presence: null } }, 'topics["t"].presence takes an object, got null'],
    [
      { t: { presence: { grace: 5 } } },
      'topics["t"].presence: unknown option "grace"; the options are leaveGraceMs, changes',
    ],
    [{ t: { presence: { leaveGraceMs: -1 } } }, "leaveGraceMs takes an integer from 0 to 2147483647, got -1"],
    [{ t: { presence: { changes: 1 } } }, 'topics["t"].presence: changes takes true or false, got 1'],
    [{ "*": { history }, "room:*": { history } }, 'the pattern "room:*" never counts, because "*" stands before it'],
    [{ "a*": { history }, "a*b": { history } }, 'the pattern "a*b" never counts, because "a*" stands before it'],
    [{ "a**": { history }, "a*": { history } }, 'the pattern "a*" never counts, because "a**" stands before it'],
  ];
  it.each(bad)("refuses %o by name", (topics, message) => {
    expect(() => check(topics)).toThrow(
      expect.objectContaining({ code: "ERR_OPTION", message: expect.stringContaining(message) }),
    );
    expect(() => check(topics)).toThrow(/^Switchboard\.start: topics/);
  });
});

describe("TopicRules", () => {
  const rulesOf = (...patterns: string[]) =>
    new TopicRules(check(Object.fromEntries(patterns.map((pattern) => [pattern, { history }]))));

  it.each([
    { pattern: "room:*", matches: ["room:", "room:1", "room:*", "room:1\n2"], others: ["room", "aroom:1", "Room:1"] },
    { pattern: "*", matches: ["a", "*", "a:b"], others: [] },
    { pattern: "*:end", matches: [":end", "a:end", ":end:end"], others: ["end", ":ends"] },
    { pattern: "a*a", matches: ["aa", "aba"], others: ["a", "ab", "ba"] },
    { pattern: "a*b*c", matches: ["abc", "axbxc", "abbc", "abcbc"], others: ["ac", "acb", "abcd"] },
    { pattern: "ab*bc", matches: ["abbc", "abxbc"], others: ["abc"] },
    { pattern: "exact", matches: ["exact"], others: ["exac", "exactly"] },
    { pattern: "a.c[x]", matches: ["a.c[x]"], others: ["abc[x]", "a.cx"] },
  ])("knows which topics $pattern stands for", ({ pattern, matches, others }) => {
    const rules = rulesOf(pattern);
    for (const topic of matches) expect([topic, rules.of(topic)?.pattern]).toEqual([topic, pattern]);
    for (const topic of others) expect([topic, rules.of(topic)]).toEqual([topic, undefined]);
  });

  it("takes the first pattern that matches", () => {
    const rules = rulesOf("room:vip", "room:*", "*:log", "*");
    const patterns = ["room:vip", "room:1", "room:log", "a:log", "a"].map((topic) => rules.of(topic)?.pattern);
    expect(patterns).toEqual(["room:vip", "room:*", "room:*", "*:log", "*"]);
  });

  it("has no rule for topics that an earlier pattern gives nothing", () => {
    const rules = new TopicRules(check({ "plain:*": { presence: false }, "*": { history } }));
    expect(rules.of("plain:1")).toBeUndefined();
    expect(rules.of("plain")?.pattern).toBe("*");
  });

  it("gives the same rule again, also after more topics than it remembers", () => {
    const rules = rulesOf("room:*");
    const first = rules.of("room:1");
    for (let index = 0; index < 10_001; index++) rules.of(`room:${index}`);
    expect(rules.of("room:1")).toBe(first);
    expect([rules.of("other"), rules.of("other")]).toEqual([undefined, undefined]);
  });

  it("matches no topic without rules", () => {
    expect(new TopicRules([]).of("room:1")).toBeUndefined();
  });
});
