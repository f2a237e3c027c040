import { createServer } from "node:http";
import { expect, it } from "vitest";
import {
  checkCloseOnSignalsOptions,
  checkCloseOptions,
} from "../../../../src/board/switchboard/options/close-options.ts";
import { checkAttachOptions, checkListenOptions } from "../../../../src/board/switchboard/options/listen-options.ts";
import { checkStartOptions } from "../../../../src/board/switchboard/options/start-options.ts";
import { redis } from "../../../../src/engines/redis/index.ts";
import { type AttachOptions, type StartOptions, Switchboard } from "../../../../src/index.ts";
import { startBoard } from "../../../support/board.ts";

const actor = new URL("file:///chat.ts");
const int = (from: number, to: number): string => `an integer from ${from} to ${to}`;
const MAX = 2 ** 31 - 1;
const notIntegers = ["1", 1.5, Number.NaN, Number.POSITIVE_INFINITY, null, true, {}, 1n];

/** Every numeric option, with its range and the range's description in the error. */
const numbers: Record<string, { from: number; to: number; takes?: string }> = {
  maxPayloadBytes: { from: 1, to: MAX },
  maxFragments: { from: 1, to: MAX },
  maxMailboxMessages: { from: 1, to: MAX },
  maxMailboxBytes: { from: 1, to: MAX },
  maxBufferedBytes: { from: 1, to: MAX },
  maxSubscriptions: { from: 1, to: MAX },
  maxConnections: { from: 1, to: MAX },
  maxConnectionsPerShard: { from: 1, to: MAX },
  maxConnectionsPerAddress: { from: 1, to: MAX },
  maxUpgradesPerSecond: { from: 1, to: MAX },
  maxEventLoopDelayMs: { from: 1, to: MAX },
  maxMessagesPerSecond: { from: 1, to: MAX },
  maxBytesPerSecond: { from: 1, to: MAX },
  pingIntervalMs: { from: 0, to: MAX, takes: `an integer from 1 to ${MAX}, or 0 for no pings` },
  pongTimeoutMs: { from: 1, to: MAX },
  closeTimeoutMs: { from: 1, to: MAX },
  handlerTimeoutMs: { from: 0, to: MAX, takes: `an integer from 1 to ${MAX}, or 0 for no timeout` },
  handlerTimeoutAfterCloseMs: { from: 0, to: MAX, takes: `an integer from 1 to ${MAX}, or 0 for no timeout` },
  startTimeoutMs: { from: 0, to: MAX, takes: `an integer from 1 to ${MAX}, or 0 for no timeout` },
  shardTimeoutMs: { from: 0, to: MAX, takes: `an integer from 1 to ${MAX}, or 0 for no timeout` },
  handoffTimeoutMs: { from: 1, to: MAX },
  handshakeTimeoutMs: { from: 1, to: MAX },
  port: { from: 0, to: 65_535 },
  timeoutMs: { from: 0, to: MAX },
  readinessDelayMs: { from: 0, to: MAX },
  batchSize: { from: 1, to: MAX },
  batchIntervalMs: { from: 1, to: MAX },
};
const lists = {
  origins: {
    takes: 'an array of origins such as "https://example.com" or "https://*.example.com", or a function',
    good: ["https://example.com", "HTTP://[::1]:8080", "https://*.example.com:8443", "null", "capacitor://localhost"],
  },
  protocols: { takes: "an array of subprotocol names (tokens)", good: ["chat", "v1.chat"] },
};

type Check = (options: Record<string, unknown>) => unknown;
const checks: Record<string, { check: Check; call: string; options: readonly string[] }> = {
  start: {
    check: (options) => checkStartOptions({ actor, ...options } as unknown as StartOptions),
    call: "Switchboard.start",
    options: Object.keys(numbers).slice(0, 18),
  },
  attach: { check: (options) => checkAttachOptions(options), call: "attach", options: ["handshakeTimeoutMs"] },
  listen: {
    check: (options) => checkListenOptions({ port: 0, ...options }),
    call: "listen",
    options: ["handshakeTimeoutMs", "port"],
  },
  close: {
    check: (options) => checkCloseOptions(options),
    call: "close",
    options: ["timeoutMs", "readinessDelayMs", "batchSize", "batchIntervalMs"],
  },
  closeOnSignals: {
    check: (options) => checkCloseOnSignalsOptions(options),
    call: "closeOnSignals",
    options: ["timeoutMs", "readinessDelayMs", "batchSize", "batchIntervalMs"],
  },
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
    good: [[], lists.origins.good, () => true],
    bad: ["https://example.com", ["example.com"], ["https://example.com/"], ["*"], [null], [5], {}, null],
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
    ...{ call: "start", name: "actors" },
    takes: 'an object of file URLs by name (a name has 1 to 64 letters, digits, "_" and "-")',
    good: [{}, { admin: actor, "a-b_C9": actor.href }, { ["n".repeat(64)]: actor }],
    bad: [
      ...[null, "admin", 5, [], [actor], new Map([["admin", actor]]), { admin: undefined }, { admin: "./admin.ts" }],
      ...[
        { admin: "https://example.com/a.ts" },
        { "": actor },
        { "a b": actor },
        { ["n".repeat(65)]: actor },
        { é: actor },
      ],
    ],
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
  {
    ...{ call: "start", name: "placement" },
    takes: '"leastConnections", "roundRobin", an object with a function stickyBy, or a function',
    good: ["leastConnections", "roundRobin", { stickyBy: () => "a" }, () => 0],
    bad: ["random", 5, null, {}, { stickyBy: "room" }, { stickyBy: () => "a", by: 1 }],
  },
  {
    ...{ call: "start", name: "trustedProxies", takes: 'an array of addresses, networks ("10.0.0.0/8") and "unix:"' },
    good: [[], ["10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32", "unix:"]],
    bad: [
      "10.0.0.1",
      ["10.0.0.0/33"],
      ["::/129"],
      ["localhost"],
      ["10.0.0"],
      ["1.2.3.4/"],
      ["1.2.3.4/8/8"],
      [5],
      {},
      null,
    ],
  },
  {
    ...{ call: "start", name: "resourceLimits", takes: "an object of limits" },
    good: [{}, { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8, stackSizeMb: 2 }, { stackSizeMb: undefined }],
    bad: ["64", 64, null, true],
  },
  ...["attach", "listen"].flatMap((call) => routeRows.map((row) => ({ ...row, call }))),
  {
    ...{ call: "listen", name: "host", takes: "a host name or an address" },
    good: ["localhost", "::1"],
    bad: ["", 5, null, {}],
  },
  ...["close", "closeOnSignals"].flatMap((call) => [
    {
      call,
      name: "code",
      takes: "1001, 1012, or an integer from 3000 to 4999",
      good: [1001, 1012, 3000, 4999],
      bad: [1000, 1011, 2999, 5000, 3000.5, "1001", null],
    },
    {
      ...{ call, name: "reason", takes: "a string of at most 123 bytes" },
      good: ["", "x".repeat(123), "ä".repeat(61)],
      bad: ["x".repeat(124), "ä".repeat(62), 5, null],
    },
  ]),
  {
    ...{ call: "closeOnSignals", name: "signals", takes: "an array of names of signals that can be handled" },
    good: [["SIGTERM"], ["SIGHUP", "SIGINT"], []],
    bad: ["SIGTERM", ["SIGKILL"], ["SIGSTOP"], ["TERM"], ["toString"], [15], null],
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

it.each(Object.values(checks))("$call: lists the options in the error for an unknown one", ({ check, call }) => {
  const message = expect.stringMatching(new RegExp(`^${call}: unknown option "shard"; the options are [a-z]`));
  expect(() => check({ shard: 1 })).toThrow(expect.objectContaining({ code: "ERR_OPTION", message }));
});

it("refuses an array as the options of a route", () => {
  const error = expect.objectContaining({
    code: "ERR_OPTION",
    message: expect.stringContaining("attach: the options must be an object"),
  });
  expect(() => checkAttachOptions([] as unknown as AttachOptions)).toThrow(error);
});

it.each([undefined, null, 5, "file:///chat.ts"])("refuses %s as options", (options) => {
  const error = expect.objectContaining({ code: "ERR_OPTION" });
  expect(() => checkStartOptions(options as unknown as StartOptions)).toThrow(error);
  expect(() => checkAttachOptions(options as unknown as AttachOptions)).toThrow(error);
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

it("says how to call an engine that was given as a function, and shows no source", () => {
  const message =
    "Switchboard.start: engine takes memory(), or redis() of switchboard/redis, got a function; call it: redis({ url })";
  expect(() => checkStartOptions({ actor, engine: redis } as unknown as StartOptions)).toThrow(message);
  const shards = 'Switchboard.start: shards takes "auto" or an integer from 1 to 1024, got a function';
  expect(() => checkStartOptions({ actor, shards: redis } as unknown as StartOptions)).toThrow(shards);
});
