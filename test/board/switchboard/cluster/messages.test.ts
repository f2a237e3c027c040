import fc from "fast-check";
import { expect, it } from "vitest";
import { packPage, unpackPage } from "../../../../src/board/switchboard/cluster/connection-pages.ts";
import { MAX_MESSAGE_LENGTH, parseMessage } from "../../../../src/board/switchboard/cluster/messages.ts";
import type { ConnectionInfo } from "../../../../src/index.ts";
import type { Address } from "../../../../src/runtime/actor/address.ts";
import { unpackMail } from "../../../../src/runtime/mail/packed-mail.ts";

const tell = { kind: "tell", to: "node.0-1", mail: "/w8=", timeoutMs: 5_000 };
const request = (body: object) => JSON.stringify({ kind: "request", to: "n", serial: 0, request: body });
const reply = (body: object) => JSON.stringify({ kind: "reply", to: "n", serial: 0, reply: body });

it.each([
  request(tell),
  request({ ...tell, kind: "ask", from: "other.1-2" }),
  request({ kind: "list", limit: 1_000, shard: 0, cursor: "0.5" }),
  request({ kind: "disconnect", address: "node.0-1", code: 4000, reason: "" }),
  reply({ kind: "gone" }),
  reply({ kind: "failed", error: { name: "Error", message: "why" } }),
])("takes %s", (json) => {
  expect(JSON.stringify(parseMessage(json))).toBe(json);
});

it.each([
  "",
  "5",
  '{"kind":"request"}',
  '{"kind":"constructor","serial":0}',
  '{"kind":"request","to":"n","serial":-1,"request":{"kind":"list","limit":1}}',
  request({ kind: "__proto__" }),
  request({ ...tell, to: "nobody" }),
  request({ ...tell, from: 5 }),
  request({ ...tell, timeoutMs: 0 }),
  request({ ...tell, timeoutMs: 2 ** 31 }),
  request({ kind: "list", limit: 1_001 }),
  request({ kind: "list", limit: 1, shard: 0.5 }),
  request({ kind: "disconnect", address: "node.0-1", code: 1005, reason: "" }),
  request({ kind: "disconnect", address: "node.0-1", code: 1000, reason: "é".repeat(62) }),
  reply({ kind: "answered" }),
  reply({ kind: "disconnected", wasOpen: 1 }),
  reply({ kind: "failed", error: { name: "Error", message: "x".repeat(20_000) } }),
])("refuses %s", (json) => {
  expect(parseMessage(json)).toBeUndefined();
});

it("refuses a message and a mail that are too long", () => {
  expect(parseMessage(request({ ...tell, extra: "x".repeat(MAX_MESSAGE_LENGTH) }))).toBeUndefined();
  expect(parseMessage(request({ ...tell, mail: "A".repeat(1_398_104) }))).toBeDefined();
  expect(parseMessage(request({ ...tell, mail: "A".repeat(1_398_105) }))).toBeUndefined();
});

it("takes any text for a message, a page or a mail without more than an error", () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), fc.uint8Array({ maxLength: 200 }), (json, bytes) => {
      expect(() => parseMessage(json)).not.toThrow();
      // The header of `node:v8`, so that the bytes are read as a value.
      const serialized = Buffer.concat([Buffer.from([0xff, 0x0f]), bytes]);
      expect(() => unpackPage(serialized.toString("base64"), 1)).not.toThrow();
      try {
        unpackMail(serialized);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }),
    { numRuns: 2_000 },
  );
});

const connection = (session: unknown): ConnectionInfo => ({
  address: "node.0-1" as Address,
  shard: 0,
  actor: "admin",
  session,
  params: {},
  protocol: "",
  topics: 0,
  bufferedBytes: 0,
  openedAt: 5,
  remoteAddress: undefined,
});

it("shortens a page that is too large for a message, and leaves out a session that is too large alone", async () => {
  const all = [connection("x".repeat(3_000_000)), connection("y".repeat(3_000_000)), connection("z".repeat(5_000_000))];
  const listFrom = (from: number) => async (limit: number) => ({
    connections: all.slice(from, from + limit),
    cursor: `0.${from + limit}`,
  });
  const first = await packPage(3, listFrom(0));
  expect(unpackPage(first.connections, 3)).toEqual([all[0]]);
  expect(first.cursor).toBe("0.1");
  const last = await packPage(1, listFrom(2));
  expect(unpackPage(last.connections, 1)).toEqual([connection(undefined)]);
});

it("refuses a page with more than was asked for, or with something else than connections", async () => {
  const { connections } = await packPage(2, async () => ({
    connections: [connection(1), connection(2)],
    cursor: undefined,
  }));
  expect(unpackPage(connections, 2)).toHaveLength(2);
  expect(unpackPage(connections, 1)).toBeUndefined();
  for (const change of [{ address: 5 }, { actor: 5 }]) {
    const wrong = { ...connection(1), ...change } as unknown as ConnectionInfo;
    const page = await packPage(1, async () => ({ connections: [wrong], cursor: undefined }));
    expect(unpackPage(page.connections, 1)).toBeUndefined();
  }
});
