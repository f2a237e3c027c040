import { describe, expect, it } from "vitest";
import { hasMember, isToken, listMembers } from "../../../src/wire/handshake/tokens.ts";

describe("isToken", () => {
  /** Source: RFC 9110 section 5.6.2. */
  const TCHAR = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

  it("accepts exactly the characters that tokens are made of", () => {
    for (let code = 0; code < 0x180; code++) {
      const character = String.fromCharCode(code);
      if (isToken(`a${character}b`) !== TCHAR.includes(character)) expect.fail(`wrong about U+${code.toString(16)}`);
    }
  });

  it.each(["", " ", "a b", "a\n", "\na", "a,b", '"a"', "a/b", "chat;v=1"])("refuses %j", (text) => {
    expect(isToken(text)).toBe(false);
  });
});

describe("listMembers", () => {
  it.each([
    ["", []],
    [" ", []],
    [",", []],
    [" , ,, ", []],
    ["a", ["a"]],
    ["a,b", ["a", "b"]],
    [" a ,\tb\t, c", ["a", "b", "c"]],
    ["a,,b,", ["a", "b"]],
    ["keep-alive, Upgrade", ["keep-alive", "Upgrade"]],
    ["a b, c", ["a b", "c"]],
  ])("splits %j", (value, members) => {
    expect(listMembers(value)).toEqual(members);
  });

  it.each(["\u00a0", "\u000b", "\u000c", "\ufeff"])(
    "trims spaces and tabs only (RFC 9110 section 5.6.3), not %j",
    (odd) => {
      expect(listMembers(`${odd}a${odd}`)).toEqual([`${odd}a${odd}`]);
    },
  );
});

describe("hasMember", () => {
  it.each([
    [undefined, false],
    ["", false],
    ["upgrade", true],
    ["Upgrade", true],
    ["UPGRADE", true],
    ["keep-alive, Upgrade", true],
    ["Upgrade,keep-alive", true],
    [",upgrade,", true],
    ["keep-alive", false],
    ["upgraded", false],
    ["no-upgrade", false],
    ["keep-alive upgrade", false],
    ["upgrade;q=1", false],
  ])("looks for upgrade in %j: %s", (value, found) => {
    expect(hasMember(value, "upgrade")).toBe(found);
  });
});
