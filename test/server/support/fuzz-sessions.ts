/** Malformed commands and requests for a live server: valid ones of which some fields are something else. */
import fc from "fast-check";
import type { Command } from "../../../src/server/protocol/messages.ts";
import { asClientObject, command } from "../protocol/support/arbitrary-commands.ts";
import { asJson, asProtobuf, damaged } from "../protocol/support/fuzz-commands.ts";
import type { Encoding } from "./raw-client.ts";

/** What a client does: it connects, or not, and sends frames. */
export interface FuzzSession {
  readonly encoding: Encoding;
  readonly connects: boolean;
  readonly frames: readonly Buffer[];
}

export interface ApiCall {
  readonly method: string;
  readonly body: string;
}

const CHANNELS = [
  "a",
  "stream:a",
  "cache:a",
  "plain:a",
  "nowhere:a",
  "$a",
  "#",
  "#a,b",
  "",
  ":",
  "__proto__",
  "a".repeat(256),
  "é",
];
const channel = fc.constantFrom(...CHANNELS);

/** Numbers too large for JavaScript are written as text that `withNumbers` replaces. */
const HUGE = ["1e400", "-1e400", "18446744073709551615", "18446744073709551616", "1E2", "-0"].map(
  (text) => `huge ${text}`,
);

const odd: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    [],
    {},
    "",
    "0",
    "x",
    [[]],
    [null],
    { channel: 1 },
    { __proto__: null, a: {} },
  ),
  fc.constantFrom(-1, 0, 1, 1.5, 2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53, -(2 ** 53), 1e300),
  fc.constantFrom("\ud800", "\u0000", "__proto__", "x".repeat(300), "x".repeat(5_000), "\n", '"', "fossil"),
  fc.constantFrom(...HUGE),
  fc.constantFrom(nested(40), nested(300)),
  channel,
  fc.json().map((text) => JSON.parse(text)),
);

function nested(depth: number): unknown {
  return depth === 0 ? 1 : depth % 2 === 0 ? [nested(depth - 1)] : { a: nested(depth - 1) };
}

const change = fc.record({ at: fc.nat(), how: fc.constantFrom("set", "delete", "add", "rename"), value: odd });
type Change = typeof change extends fc.Arbitrary<infer Value> ? Value : never;

/** Changes one member, at any depth. */
function changed(value: object, { at, how, value: other }: Change): unknown {
  const copy = structuredClone(value);
  const places: { readonly parent: Record<string, unknown>; readonly key: string }[] = [];
  const visit = (parent: Record<string, unknown>): void => {
    for (const key of Object.keys(parent)) {
      places.push({ parent, key });
      const child = parent[key];
      if (typeof child === "object" && child !== null) visit(child as Record<string, unknown>);
    }
  };
  visit(copy as Record<string, unknown>);
  const place = places[at % Math.max(places.length, 1)];
  if (place === undefined) return other;
  const { parent, key } = place;
  if (how === "set") parent[key] = other;
  else if (how === "add") parent[`${key}x`] = other;
  else {
    if (how === "rename") parent[typeof other === "string" ? other : "type"] = parent[key];
    delete parent[key];
  }
  return copy;
}

/** Writes JSON, with numbers that JavaScript can't hold, and perhaps with a member twice. */
function textOf(value: unknown, twice: string): string {
  const text = JSON.stringify(value).replaceAll(/"huge ([^"]+)"/g, "$1");
  return text.startsWith("{") && text.length > 2 ? `{${twice}${text.slice(1)}` : text;
}

const twice = fc.oneof(
  { weight: 6, arbitrary: fc.constant("") },
  fc.constantFrom('"id":0,', '"id":7,', '"channel":1,', '"connect":{},', '"__proto__":{"id":9},'),
);

/** Most commands are for channels that there are, and of the type that the server has: it does more with those. */
function aimed(one: Command): Command {
  if (!("request" in one)) return one;
  const request: Record<string, unknown> = { ...one.request };
  const { channel, type } = request;
  if (typeof channel === "string") request["channel"] = CHANNELS[channel.length % CHANNELS.length];
  if (typeof type === "number" && type % 8 !== 1) request["type"] = 0;
  return { ...one, request } as Command;
}

/** A command as an object of JSON. */
const plainCommand = command.map((one) => {
  const text = JSON.stringify(asClientObject(aimed(one)), (_, value) => (value?.type === "Buffer" ? { a: 1 } : value));
  return JSON.parse(text) as object;
});

function mutated(one: fc.Arbitrary<object>): fc.Arbitrary<string> {
  return fc.tuple(one, fc.array(change, { maxLength: 3 }), twice).map(([object, changes, again]) => {
    const value = changes.reduce<unknown>(
      (now, next) => (typeof now === "object" && now !== null ? changed(now, next) : now),
      object,
    );
    return textOf(value, again);
  });
}

const jsonFrame = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .array(mutated(plainCommand), { minLength: 1, maxLength: 4 })
      .map((all) => Buffer.from(all.join("\n"))),
  },
  damaged((all) => asJson(all.map(aimed))),
);

export const fuzzSession: fc.Arbitrary<FuzzSession> = fc
  .constantFrom("json" as const, "protobuf" as const)
  .chain((encoding) =>
    fc.record({
      encoding: fc.constant(encoding),
      connects: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, fc.constant(false)),
      frames: fc.array(encoding === "json" ? jsonFrame : damaged((all) => asProtobuf(all.map(aimed))), {
        minLength: 1,
        maxLength: 4,
      }),
    }),
  );

const position = { offset: 1, epoch: "x" };
const CALLS: Readonly<Record<string, object>> = {
  publish: {
    channel: "stream:a",
    data: { a: 1 },
    b64data: "",
    skip_history: false,
    tags: { a: "b" },
    idempotency_key: "k",
    delta: true,
    version: 3,
    version_epoch: "e",
  },
  broadcast: { channels: ["a", "stream:a"], data: [1], tags: { a: "b" }, idempotency_key: "k" },
  subscribe: {
    user: "a",
    channel: "a",
    info: {},
    b64info: "",
    client: "c",
    session: "s",
    data: {},
    b64data: "",
    recover_since: position,
    expire_at: 4_000_000_000,
    override: { presence: { value: true } },
  },
  unsubscribe: { user: "a", channel: "a", client: "c", session: "s" },
  disconnect: {
    user: "nobody",
    client: "c",
    session: "s",
    whitelist: ["c"],
    disconnect: { code: 4000, reason: "bye" },
  },
  refresh: { user: "nobody", client: "c", session: "s", expired: false, expire_at: 4_000_000_000, info: {} },
  presence: { channel: "a" },
  presence_stats: { channel: "a" },
  history: { channel: "stream:a", limit: 5, since: position, reverse: true },
  history_remove: { channel: "cache:a" },
  channels: { pattern: "a*", limit: 3 },
  connections: { user: "a", limit: 2, cursor: "x", client: "c" },
  info: {},
  rpc: { method: "x", params: { a: 1 } },
  batch: {
    commands: [
      { publish: { channel: "a", data: 1 } },
      { history: { channel: "stream:a" } },
      { broadcast: { channels: ["a"], data: 1 } },
    ],
    parallel: true,
  },
};

export const apiCall: fc.Arbitrary<ApiCall> = fc
  .constantFrom(...Object.keys(CALLS))
  .chain((method) => fc.record({ method: fc.constant(method), body: mutated(fc.constant(CALLS[method] as object)) }))
  // A call that selects all clients would end the bystanders.
  .filter(
    ({ method, body }) => !/^(disconnect|refresh|unsubscribe|subscribe)$/.test(method) || body.includes('"client":"c"'),
  );

export const emulationBody = mutated(fc.constant({ session: "s", node: "n", data: '{"id":1,"ping":{}}' }));
export const connectParameter = mutated(
  fc.constant({ id: 1, connect: { token: "", name: "js", data: {}, subs: { a: position } } }),
);
