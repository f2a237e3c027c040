/** Commands of clients for property tests: what the server reads, and the object that the client encodes. */
import fc from "fast-check";
import type { Command, FilterNode } from "../../../../src/server/protocol/messages.ts";

const text = fc.string({ unit: "grapheme", maxLength: 12 });
const offset = fc.oneof(fc.nat(), fc.maxSafeNat());
const int32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
const id = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 0xffff_ffff }));

/** Payloads as text of JSON. */
export const payload = fc.oneof(
  fc.json({ maxDepth: 3 }),
  fc.constantFrom("1.0", "12345678901234567890", '{"a" : [ 1 ,\t2e-3 ] }', '"\\u00e9\\n\\\\"', '{"data":"}"}'),
);
const data = payload.map((json) => Buffer.from(json));
const maybeData = fc.option(data, { nil: undefined });

function record<Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Record<string, Value>> {
  const key = fc.oneof(text, fc.constantFrom("__proto__", "constructor", "toString"));
  return fc.dictionary(key, value, { maxKeys: 4, noNullPrototype: false }).map((entries) => {
    const own: Record<string, Value> = Object.create(null);
    for (const name of Object.keys(entries)) own[name] = entries[name] as Value;
    return own;
  });
}

const leaf = fc.record({
  op: fc.constant(""),
  key: text,
  cmp: fc.constantFrom("eq", "in", "ex", "gte"),
  val: text,
  vals: fc.array(text, { maxLength: 3 }),
  nodes: fc.constant([]),
});
const { node } = fc.letrec<{ node: FilterNode }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.record({
      op: fc.constantFrom("and", "or", "not"),
      key: fc.constant(""),
      cmp: fc.constant(""),
      val: fc.constant(""),
      vals: fc.constant([]),
      nodes: fc.array(tie("node"), { maxLength: 3 }),
    }),
  ),
}));

const recovery = fc.record({ recover: fc.boolean(), epoch: text, offset });

export const connect = fc.record({
  id,
  kind: fc.constant("connect" as const),
  request: fc.record({
    token: text,
    data: maybeData,
    name: text,
    version: text,
    headers: record(text),
    subs: record(recovery),
  }),
});

export const subscribe = fc.record({
  id,
  kind: fc.constant("subscribe" as const),
  request: fc.record({
    channel: text,
    token: text,
    data: maybeData,
    recover: fc.boolean(),
    epoch: text,
    offset,
    positioned: fc.boolean(),
    recoverable: fc.boolean(),
    join_leave: fc.boolean(),
    delta: fc.constantFrom("", "fossil"),
    tf: fc.option(node, { nil: undefined }),
    flag: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.maxSafeInteger()),
    type: int32,
  }),
});

const position = fc.record({ offset, epoch: text });

const withChannel = fc.record({
  id,
  kind: fc.constantFrom("unsubscribe" as const, "presence" as const, "presence_stats" as const),
  request: fc.record({ channel: text }),
});
const publish = fc.record({
  id,
  kind: fc.constant("publish" as const),
  request: fc.record({ channel: text, data, type: int32 }),
});
const history = fc.record({
  id,
  kind: fc.constant("history" as const),
  request: fc.record({
    channel: text,
    limit: int32,
    since: fc.option(position, { nil: undefined }),
    reverse: fc.boolean(),
  }),
});
const rpc = fc.record({
  id,
  kind: fc.constant("rpc" as const),
  request: fc.record({ method: text, data: maybeData }),
});
const send = fc.record({
  id: fc.constant(0),
  kind: fc.constant("send" as const),
  request: fc.record({ data: maybeData }),
});
const refresh = fc.record({ id, kind: fc.constant("refresh" as const), request: fc.record({ token: text }) });
const subRefresh = fc.record({
  id,
  kind: fc.constant("sub_refresh" as const),
  request: fc.record({ channel: text, token: text, type: int32 }),
});
const bare = fc.oneof(
  fc.record({ id: fc.constant(0), kind: fc.constant("pong" as const) }),
  fc.record({ id, kind: fc.constantFrom("ping" as const, "unknown" as const) }),
);

export const command: fc.Arbitrary<Command> = fc.oneof(
  connect,
  subscribe,
  withChannel,
  publish,
  history,
  rpc,
  send,
  refresh,
  subRefresh,
  bare,
);

/** The object that the client encodes for a command, without zero values. Payloads are buffers. */
export function asClientObject(one: Command): object {
  const id = one.id === 0 ? {} : { id: one.id };
  if (one.kind === "pong" || one.kind === "unknown") return id;
  return { ...id, [one.kind]: "request" in one ? withoutZeros(one.request) : {} };
}

function withoutZeros(value: object): object {
  const kept: Record<string, unknown> = Object.create(null);
  for (const [key, field] of Object.entries(value)) {
    if (field === undefined || field === "" || field === 0 || field === false) continue;
    if (Buffer.isBuffer(field) && field.length === 0) continue;
    kept[key] = Object.getPrototypeOf(field) === Object.prototype ? withoutZeros(field as object) : field;
  }
  return kept;
}

/** Writes a command as JSON with its payloads verbatim. `space` stands between the tokens. */
export function asJsonText(one: Command, space = ""): string {
  const write = (value: unknown): string => {
    if (Buffer.isBuffer(value)) return value.toString();
    if (typeof value !== "object" || value === null) return JSON.stringify(value);
    if (Array.isArray(value)) return `[${space}${value.map(write).join(`${space},${space}`)}${space}]`;
    const members = Object.keys(value).map((key) => {
      return `${space}${JSON.stringify(key)}${space}:${space}${write((value as Record<string, unknown>)[key])}${space}`;
    });
    return `{${members.join(",")}}`;
  };
  return write(asClientObject(one));
}
