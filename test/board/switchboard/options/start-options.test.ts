import { availableParallelism, hostname } from "node:os";
import { expect, it } from "vitest";
import { checkStartOptions } from "../../../../src/board/switchboard/options/start-options.ts";
import type { StartOptions } from "../../../../src/index.ts";

const actor = new URL("file:///chat.ts");
const int = (from: number, to: number): string => `an integer from ${from} to ${to}`;
const MAX = 2 ** 31 - 1;
const notIntegers = ["1", 1.5, Number.NaN, Number.POSITIVE_INFINITY, null, true, {}, 1n];

it.each([
  [
    "slowConsumerPolicy",
    ["close", "dropNewest", "dropOldest", "conflate"],
    "one of close, dropNewest, dropOldest, conflate",
  ],
  ["rateLimitPolicy", ["pause", "close"], '"pause" or "close"'],
])("start: %s takes only its own words", (name, words, takes) => {
  for (const word of words) {
    const options = { actor, [name]: word } as unknown as StartOptions;
    expect(checkStartOptions(options).connection).toMatchObject({ [name]: word });
  }
  const message = `Switchboard.start: ${name} takes ${takes}, got "drop"`;
  const options = { actor, [name]: "drop" } as unknown as StartOptions;
  expect(() => checkStartOptions(options)).toThrow(expect.objectContaining({ code: "ERR_OPTION", message }));
});

it("keeps the URLs of the actor modules by name, the default module without a name", () => {
  const { actors } = checkStartOptions({ actor, actors: { admin: actor, "b-2_c": "file:///b.ts" } });
  expect(actors).toEqual(
    new Map([
      [undefined, actor.href],
      ["admin", actor.href],
      ["b-2_c", "file:///b.ts"],
    ]),
  );
});

it("fills in defaults, and treats undefined as absent", () => {
  const defaults = {
    ...{ maxPayloadBytes: 1_048_576, maxFragments: 131_072, maxMailboxMessages: 1024, maxMailboxBytes: 1_048_576 },
    ...{
      slowConsumerPolicy: "close",
      rateLimitPolicy: "pause",
      maxBufferedBytes: 1_048_576,
      maxSubscriptions: 1024,
      maxMails: 1024,
    },
    ...{ pingIntervalMs: 25_000, pongTimeoutMs: 10_000, closeTimeoutMs: 10_000 },
    ...{ handlerTimeoutMs: 0, handlerTimeoutAfterCloseMs: 60_000 },
  };
  const filled = {
    actors: new Map([[undefined, actor.href]]),
    shards: availableParallelism(),
    sockets: "auto",
    connection: defaults,
  };
  Object.assign(filled, { startTimeoutMs: 60_000, engine: undefined, nodeName: hostname(), signal: undefined });
  Object.assign(filled, {
    placement: "leastConnections",
    rebalance: 0,
    maxEventLoopDelayMs: 200,
    limits: {},
    shardTimeoutMs: 10_000,
    handoffTimeoutMs: 5_000,
  });
  Object.assign(filled, { resourceLimits: { maxYoungGenerationSizeMb: 8 }, warmUp: true });
  expect(checkStartOptions({ actor })).toEqual(filled);
  const undefineds = Object.fromEntries(
    [
      ...Object.keys(defaults),
      ...[
        "actors",
        "shards",
        "warmUp",
        "sockets",
        "placement",
        "maxEventLoopDelayMs",
        "shardTimeoutMs",
        "handoffTimeoutMs",
        "startTimeoutMs",
        "nodeName",
        "signal",
        "resourceLimits",
      ],
      ...["maxConnections", "trustedProxies"],
    ].map((name) => [name, undefined]),
  );
  expect(checkStartOptions({ actor, ...undefineds })).toEqual(filled);
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

it.each(["maxOldGenerationSizeMb", "maxYoungGenerationSizeMb", "stackSizeMb"])(
  "start: resourceLimits' %s takes whole MiB",
  (name) => {
    for (const value of [0, -1, MAX + 1, ...notIntegers]) {
      const message = expect.stringContaining(`Switchboard.start: resourceLimits: ${name} takes ${int(1, MAX)}, got `);
      const error = expect.objectContaining({ code: "ERR_OPTION", message });
      expect(() => checkStartOptions({ actor, resourceLimits: { [name]: value } }), String(value)).toThrow(error);
    }
    expect(checkStartOptions({ actor, resourceLimits: { [name]: 5 } }).resourceLimits).toEqual({
      maxYoungGenerationSizeMb: 8,
      [name]: 5,
    });
  },
);

it("refuses resource limits that don't exist", () => {
  expect(() => checkStartOptions({ actor, resourceLimits: { codeRangeSizeMb: 5 } as object })).toThrow(
    expect.objectContaining({
      code: "ERR_OPTION",
      message: expect.stringContaining('unknown option "codeRangeSizeMb"'),
    }),
  );
});

it("doesn't compress by default, and fills in the compression options", () => {
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

it("keeps the given values", () => {
  const { shards, connection } = checkStartOptions({ actor, shards: 3, maxPayloadBytes: 5, pingIntervalMs: 0 });
  expect(shards).toBe(3);
  expect(connection).toMatchObject({ maxPayloadBytes: 5, pingIntervalMs: 0, maxFragments: 131_072 });
});

it("start: nodeName takes a string of 1 to 255 characters", () => {
  for (const nodeName of ["a", "n".repeat(255)]) expect(checkStartOptions({ actor, nodeName }).nodeName).toBe(nodeName);
  for (const nodeName of ["", "n".repeat(256), 5, null]) {
    const message = expect.stringContaining("Switchboard.start: nodeName takes a string of 1 to 255 characters, got ");
    const error = expect.objectContaining({ code: "ERR_OPTION", message });
    expect(() => checkStartOptions({ actor, nodeName: nodeName as string }), String(nodeName)).toThrow(error);
  }
});
