import { createServer } from "node:http";
import { availableParallelism } from "node:os";
import { expect, it } from "vitest";
import { type AttachOptions, type StartOptions, Switchboard } from "../../src/index.ts";
import {
  checkAttachOptions,
  checkCloseOptions,
  checkListenOptions,
  checkStartOptions,
} from "../../src/switchboard/options.ts";
import { startBoard } from "../support/board.ts";

const actor = new URL("file:///chat.ts");
const int = (from: number, to: number): string => `an integer from ${from} to ${to}`;
const MAX = 2 ** 31 - 1;
const notIntegers = ["1", 1.5, Number.NaN, Number.POSITIVE_INFINITY, null, true, {}, 1n];

/** Every option that is a number of something: what it may be, and what it says that it takes. */
const numbers: Record<string, { from: number; to: number; takes?: string }> = {
  maxPayloadBytes: { from: 1, to: MAX },
  maxFragments: { from: 1, to: MAX },
  mailboxLimit: { from: 1, to: MAX },
  mailboxLimitBytes: { from: 1, to: MAX },
  maxBufferedBytes: { from: 1, to: MAX },
  pingIntervalMs: { from: 0, to: MAX, takes: `an integer from 1 to ${MAX}, or 0 for no pings` },
  pongTimeoutMs: { from: 1, to: MAX },
  closeTimeoutMs: { from: 1, to: MAX },
  handshakeTimeoutMs: { from: 1, to: MAX },
  port: { from: 0, to: 65_535 },
  drain: { from: 0, to: MAX },
};
const lists = {
  origins: {
    takes: 'an array of origins, such as "https://example.com"',
    good: ["https://example.com", "HTTP://[::1]:8080"],
  },
  protocols: { takes: "an array of subprotocol names (tokens)", good: ["chat", "v1.chat"] },
};

type Check = (options: Record<string, unknown>) => unknown;
const checks: Record<string, { check: Check; call: string; options: readonly string[] }> = {
  start: {
    check: (options) => checkStartOptions({ actor, ...options } as unknown as StartOptions),
    call: "Switchboard.start",
    options: Object.keys(numbers).slice(0, 8),
  },
  attach: { check: (options) => checkAttachOptions(options), call: "attach", options: ["handshakeTimeoutMs"] },
  listen: {
    check: (options) => checkListenOptions({ port: 0, ...options }),
    call: "listen",
    options: ["handshakeTimeoutMs", "port"],
  },
  close: { check: (options) => checkCloseOptions(options), call: "close", options: ["drain"] },
};

const numberRows = Object.values(checks).flatMap(({ check, call, options }) =>
  options.map((name) => {
    const { from = 0, to = 0, takes = int(from, to) } = numbers[name] ?? {};
    return { check, call, name, from, to, takes };
  }),
);

it.each(numberRows)("$call: $name is from $from to $to", ({ check, call, name, from, to, takes }) => {
  for (const value of [from, to]) expect(() => check({ [name]: value })).not.toThrow();
  for (const value of [from - 1, to + 1, -1, ...notIntegers]) {
    const error = { name: "SwitchboardError", kind: "configuration", code: "ERR_OPTION" };
    const message = expect.stringMatching(new RegExp(`^${call}: ${name} takes ${takes}, got `));
    expect(() => check({ [name]: value }), String(value)).toThrow(expect.objectContaining({ ...error, message }));
  }
});

const pathTakes = 'a path pattern that begins with "/", such as "/chat/:room"';
const routeRows = [
  {
    name: "path",
    takes: pathTakes,
    good: ["/", "/chat/:room", "/files/*"],
    bad: ["", "chat", "/(", 5, null, /\/chat/],
  },
  { name: "authorize", takes: "a function", good: [() => ({ session: 1 })], bad: ["yes", {}, null, true] },
  {
    name: "origins",
    takes: lists.origins.takes,
    good: [[], lists.origins.good],
    bad: ["https://example.com", ["example.com"], ["https://example.com/"], ["*"], ["null"], [5], {}, null],
  },
  {
    name: "protocols",
    takes: lists.protocols.takes,
    good: [[], lists.protocols.good],
    bad: ["chat", ["two words"], ["a,b"], [""], [5], {}, null],
  },
];
const rows = [
  {
    ...{ call: "start", name: "actor", takes: "a file URL, as a URL or a string" },
    good: [actor, actor.href],
    bad: [undefined, null, "", "./chat.ts", "/chat.ts", "https://example.com/chat.ts", 5, {}, () => {}],
  },
  {
    ...{ call: "start", name: "shards", takes: '"auto" or an integer from 1 to 1024' },
    good: ["auto", 1, 1024],
    bad: ["", "2", 0, -1, 1.5, 1025, null, Number.NaN],
  },
  {
    ...{ call: "start", name: "compression", takes: "true, false or an object of options" },
    good: [true, false, {}, { threshold: 0, level: 1, windowBits: 9, contextTakeover: true }, { level: undefined }],
    bad: ["yes", 1, null, () => {}],
  },
  ...["attach", "listen"].flatMap((call) => routeRows.map((row) => ({ ...row, call }))),
  {
    ...{ call: "listen", name: "host", takes: "a host name or an address" },
    good: ["localhost", "::1"],
    bad: ["", 5, null, {}],
  },
  { call: "listen", name: "port", takes: int(0, 65_535), good: [8080], bad: [undefined] },
];

it.each(rows)("$call: $name takes $takes", ({ call, name, takes, good, bad }) => {
  const { check, call: callName } = checks[call] ?? { check: () => {}, call };
  for (const value of good) expect(() => check({ [name]: value })).not.toThrow();
  for (const value of bad) {
    const message = expect.stringContaining(`${callName}: ${name} takes ${takes}, got `);
    expect(() => check({ [name]: value }), String(value)).toThrow(
      expect.objectContaining({ code: "ERR_OPTION", message }),
    );
  }
});

it.each(Object.values(checks))("$call: names the options there are when one is unknown", ({ check, call }) => {
  const message = expect.stringMatching(new RegExp(`^${call}: unknown option "shard"; the options are [a-z]`));
  expect(() => check({ shard: 1 })).toThrow(expect.objectContaining({ code: "ERR_OPTION", message }));
});

it.each([undefined, null, 5, "file:///chat.ts"])("refuses %s for the options", (options) => {
  const error = expect.objectContaining({ code: "ERR_OPTION" });
  expect(() => checkStartOptions(options as unknown as StartOptions)).toThrow(error);
  expect(() => checkAttachOptions(options as unknown as AttachOptions)).toThrow(error);
});

it("fills in what isn't given, and takes undefined for not given", () => {
  const defaults = {
    ...{ maxPayloadBytes: 1_048_576, maxFragments: 131_072, mailboxLimit: 1024, mailboxLimitBytes: 1_048_576 },
    ...{ mailLimit: 1024 },
    ...{ maxBufferedBytes: 1_048_576, pingIntervalMs: 25_000, pongTimeoutMs: 10_000, closeTimeoutMs: 10_000 },
  };
  const filled = { actor: actor.href, shards: availableParallelism(), sockets: "auto", connection: defaults };
  expect(checkStartOptions({ actor })).toEqual(filled);
  const undefineds = Object.fromEntries(
    [...Object.keys(defaults), "shards", "sockets"].map((name) => [name, undefined]),
  );
  expect(checkStartOptions({ actor, ...undefineds })).toEqual(filled);
  expect(checkAttachOptions({})).toEqual({ handshakeTimeoutMs: 10_000 });
  expect(checkCloseOptions({})).toEqual({ drain: 5_000 });
});

it.each([
  { name: "threshold", takes: int(0, MAX), bad: [-1, MAX + 1, ...notIntegers] },
  { name: "level", takes: int(1, 9), bad: [0, 10, ...notIntegers] },
  { name: "windowBits", takes: int(9, 15), bad: [8, 16, ...notIntegers] },
  { name: "contextTakeover", takes: "true or false", bad: [0, 1, "true", null, {}] },
])("start: compression's $name takes $takes", ({ name, takes, bad }) => {
  for (const value of bad) {
    const message = expect.stringContaining(`Switchboard.start: compression: ${name} takes ${takes}, got `);
    const error = expect.objectContaining({ code: "ERR_OPTION", message });
    expect(() => checkStartOptions({ actor, compression: { [name]: value } }), String(value)).toThrow(error);
  }
});

it("compresses nothing unless told to, and fills in how", () => {
  const settingsOf = (compression?: StartOptions["compression"]) =>
    checkStartOptions({ actor, ...(compression !== undefined && { compression }) }).connection.compression;
  const defaults = { threshold: 1024, level: 3, windowBits: 15, contextTakeover: false };
  expect(settingsOf()).toBeUndefined();
  expect(settingsOf(false)).toBeUndefined();
  expect(settingsOf(true)).toEqual(defaults);
  expect(settingsOf({})).toEqual(defaults);
  expect(settingsOf({ threshold: 0, windowBits: 9 })).toEqual({ ...defaults, threshold: 0, windowBits: 9 });
  expect(() => settingsOf({ windowbits: 9 } as object)).toThrow(
    expect.objectContaining({ code: "ERR_OPTION", message: expect.stringContaining('unknown option "windowbits"') }),
  );
});

it("keeps what is given", () => {
  const { shards, connection } = checkStartOptions({ actor, shards: 3, maxPayloadBytes: 5, pingIntervalMs: 0 });
  expect(shards).toBe(3);
  expect(connection).toMatchObject({ maxPayloadBytes: 5, pingIntervalMs: 0, maxFragments: 131_072 });
});

it("compares origins in lower case, as browsers send them", () => {
  expect(checkAttachOptions({ origins: ["HTTPS://Example.COM"] }).origins).toEqual(["https://example.com"]);
});

it("checks the options of start, attach, listen and close", async () => {
  const wrong = { nonsense: 1 };
  const error = expect.objectContaining({ code: "ERR_OPTION", message: expect.stringContaining("nonsense") });
  await expect(Switchboard.start({ actor, ...wrong })).rejects.toEqual(error);
  const { board } = await startBoard();
  expect(() => board.attach(createServer(), wrong as AttachOptions)).toThrow(error);
  await expect(board.listen({ port: 0, ...wrong })).rejects.toEqual(error);
  await expect((async () => board.close(wrong as object))()).rejects.toEqual(error);
});
