/** Replies and pushes for property tests, and the object that the client makes of them. */
import fc from "fast-check";
import type { Publication, Push, Reply, SubscribeResult } from "../../../../src/server/protocol/messages.ts";

/** Removes the keys that a record has as undefined. */
function defined<Value extends object>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value> {
  return value.map(
    (all) => Object.fromEntries(Object.entries(all).filter(([, field]) => field !== undefined)) as Value,
  );
}

function maybe<Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> {
  return fc.option(value, { nil: undefined });
}

const text = fc.string({ unit: "grapheme", maxLength: 10 });
const data = fc.json({ maxDepth: 2 }).map((json) => Buffer.from(json));
const offset = fc.oneof(fc.nat(), fc.maxSafeNat());
const seconds = fc.integer({ min: 0, max: 0xffff_ffff });
const id = fc.integer({ min: 1, max: 0xffff_ffff });
const code = fc.integer({ min: 1, max: 0xffff_ffff });

function record<Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Record<string, Value>> {
  return fc.dictionary(text, value, { maxKeys: 3, noNullPrototype: true });
}

export const info = defined(fc.record({ user: text, client: text, conn_info: maybe(data), chan_info: maybe(data) }));

export const publication: fc.Arbitrary<Publication> = defined(
  fc.record({
    data,
    info: maybe(info),
    offset: maybe(offset),
    tags: maybe(record(text)),
    delta: maybe(fc.boolean()),
    time: maybe(fc.maxSafeNat()),
    channel: maybe(text),
  }),
);

const subscribed: fc.Arbitrary<SubscribeResult> = defined(
  fc.record({
    expires: maybe(fc.boolean()),
    ttl: maybe(seconds),
    recoverable: maybe(fc.boolean()),
    positioned: maybe(fc.boolean()),
    epoch: maybe(text),
    offset: maybe(offset),
    recovered: maybe(fc.boolean()),
    was_recovering: maybe(fc.boolean()),
    publications: maybe(fc.array(publication, { maxLength: 3 })),
    data: maybe(data),
    delta: maybe(fc.boolean()),
    id: maybe(fc.maxSafeNat()),
  }),
);

const connected = defined(
  fc.record({
    client: text,
    version: text,
    data: maybe(data),
    expires: maybe(fc.boolean()),
    ttl: maybe(seconds),
    subs: maybe(record(subscribed)),
    ping: maybe(seconds),
    pong: maybe(fc.boolean()),
    session: maybe(text),
    node: maybe(text),
    time: maybe(fc.maxSafeNat()),
  }),
);
const renewed = defined(fc.record({ expires: maybe(fc.boolean()), ttl: maybe(seconds) }));

export const reply: fc.Arbitrary<Reply> = fc.oneof(
  fc.record({
    id,
    kind: fc.constant("error" as const),
    error: defined(fc.record({ code, message: text, temporary: maybe(fc.boolean()) })),
  }),
  fc.record({ id, kind: fc.constant("connect" as const), result: connected }),
  fc.record({ id, kind: fc.constant("subscribe" as const), result: subscribed }),
  fc.record({ id, kind: fc.constantFrom("unsubscribe" as const, "publish" as const) }),
  fc.record({ id, kind: fc.constant("presence" as const), result: fc.record({ presence: record(info) }) }),
  fc.record({
    id,
    kind: fc.constant("presence_stats" as const),
    result: fc.record({ num_clients: seconds, num_users: seconds }),
  }),
  fc.record({
    id,
    kind: fc.constant("history" as const),
    result: fc.record({ publications: fc.array(publication, { maxLength: 3 }), epoch: text, offset }),
  }),
  fc.record({ id, kind: fc.constant("rpc" as const), result: defined(fc.record({ data: maybe(data) })) }),
  fc.record({ id, kind: fc.constantFrom("refresh" as const, "sub_refresh" as const), result: renewed }),
);

const channel = text;
const target = maybe(fc.integer({ min: 1, max: 9_999 }));

export const push: fc.Arbitrary<Push> = fc.oneof(
  fc.record({ id: target, kind: fc.constant("pub" as const), channel, pub: publication }),
  fc.record({ id: target, kind: fc.constantFrom("join" as const, "leave" as const), channel, info }),
  fc.record({ kind: fc.constant("unsubscribe" as const), channel, code, reason: text }),
  fc.record({
    kind: fc.constant("subscribe" as const),
    channel,
    result: defined(
      fc.record({ recoverable: maybe(fc.boolean()), epoch: maybe(text), offset: maybe(offset), data: maybe(data) }),
    ),
  }),
  fc.record({ kind: fc.constant("message" as const), data }),
  fc.record({ kind: fc.constant("disconnect" as const), code, reason: text, reconnect: fc.boolean() }),
  fc.record({ kind: fc.constant("refresh" as const), expires: fc.boolean(), ttl: seconds }),
);

/** The object of the schema for a reply. */
export function replyObject(one: Reply): object {
  const result = one.kind === "error" ? one.error : "result" in one ? one.result : {};
  return { id: one.id, [one.kind]: result };
}

/** The object of the schema for a push. */
export function pushObject(one: Push): object {
  const channel = "channel" in one ? one.channel : "";
  const target = "id" in one && one.id !== undefined ? { id: one.id } : { channel };
  return { push: { ...target, [one.kind]: pushValue(one) } };
}

function pushValue(one: Push): object {
  switch (one.kind) {
    case "pub":
      return one.pub;
    case "join":
    case "leave":
      return { info: one.info };
    case "subscribe":
      return one.result;
    default: {
      const { kind: _kind, ...rest } = one;
      const { id: _id, channel: _channel, ...value } = { id: undefined, channel: undefined, ...rest };
      return value;
    }
  }
}

/**
 * Brings what was written and what was read to one form: zero values and empty lists and objects are left out; bytes
 * become text; 64-bit integers become numbers.
 */
export function comparable(value: unknown): unknown {
  if (value === 0 || value === "" || value === false || typeof value !== "object" || value === null) {
    return value || undefined;
  }
  if (value instanceof Uint8Array) return Buffer.from(value).toString();
  if ("toNumber" in value && typeof value.toNumber === "function") return comparable(value.toNumber());
  const entries = Object.entries(value).map(([key, field]) => [key, comparable(field)] as const);
  const kept = entries.filter(([, field]) => field !== undefined);
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}
