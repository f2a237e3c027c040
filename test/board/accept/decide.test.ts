import type { IncomingMessage } from "node:http";
import { expect, it } from "vitest";
import { type Authorize, decide } from "../../../src/board/accept/authorize.ts";

const request = {} as IncomingMessage;

/** Calls `decide` with values that TypeScript would reject. */
const decideBy = (given: unknown) => decide((async () => given) as Authorize, request, {});

it.each<[string, object]>([
  ["a session", { session: { user: "ada" } }],
  ["no session", { session: undefined }],
  ["a session and headers", { session: 1, headers: { "Set-Cookie": ["a=1", "b=2"], "X-A": "é", "X-Number": 5 } }],
  ["a status", { status: 401 }],
  ["the first status", { status: 300 }],
  ["the last status", { status: 599 }],
  ["a complete refusal", { status: 401, headers: { "WWW-Authenticate": "Bearer", Connection: "close" }, body: "" }],
])("accepts %s unchanged", async (_, given) => {
  expect(await decideBy(given)).toEqual(given);
});

it("treats undefined as absent", async () => {
  expect(await decideBy({ session: 1, headers: undefined, body: undefined })).toEqual({ session: 1 });
  expect(await decideBy({ status: 401, headers: undefined, body: undefined })).toEqual({ status: 401 });
});

const refused = (headers: unknown): object => ({ status: 401, headers });
const admitted = (headers: unknown): object => ({ session: 1, headers });

it.each<[string, unknown, string]>([
  ["nothing", undefined, "gave undefined"],
  ["null", null, "gave null"],
  ["true", true, "gave boolean"],
  ["an empty object", {}, "without session and status"],
  ["a session and a status", { session: 1, status: 401 }, "both session and status"],
  ["a session and a good status", { session: 1, status: 200 }, "both session and status"],
  ["an undefined session and a status", { session: undefined, status: 401 }, "both session and status"],
  ["a session and an undefined status", { session: 1, status: undefined }, "both session and status"],
  ["both, inherited", Object.create({ session: 1, status: 401 }), "both session and status"],
  ["a session and a body", { session: 1, body: "no" }, 'gave "body" beside session'],
  ["an unknown key beside a session", { session: 1, header: {} }, 'gave "header" beside session'],
  ["an unknown key beside a status", { status: 401, reason: "no" }, 'gave "reason" beside status'],
  ["a status of success", { status: 200 }, "the status 200, and a refusal's is an integer from 300 to 599"],
  ["101", { status: 101 }, "the status 101"],
  ["a status that is too large", { status: 600 }, "the status 600"],
  ["a broken status", { status: 401.5 }, "the status 401.5"],
  ["a status that is a string", { status: "401" }, "the status 401"],
  ["an undefined status", { status: undefined }, "the status undefined"],
  ["a body of bytes", { status: 401, body: Buffer.from("no") }, "a body that is no string, but object"],
  ["a body that is null", { status: 401, body: null }, "a body that is no string, but null"],
  ["a body that is a number", { status: 401, body: 5 }, "a body that is no string, but number"],
  ...[refused, admitted].flatMap((withHeaders): [string, unknown, string][] => [
    ["headers that are a string", withHeaders("a: b"), "headers that are no object"],
    ["headers that are null", withHeaders(null), "headers that are no object"],
    ["headers that are a list", withHeaders(["a", "b"]), "headers that are no object"],
    ["a Headers", withHeaders(new Headers({ a: "b" })), "headers that are no object"],
    ["a Map", withHeaders(new Map([["a", "b"]])), "headers that are no object"],
    ["a header that is undefined", withHeaders({ "x-a": undefined }), 'the header "x-a" a value that is no'],
    ["a header that is true", withHeaders({ "x-a": true }), 'the header "x-a" a value that is no'],
    ["a header with a list of lists", withHeaders({ "x-a": [["b"]] }), 'the header "x-a" a value that is no'],
    [
      "CR LF in a value",
      withHeaders({ "x-a": "b\r\nx-c: d" }),
      `the header "x-a", with a character that can't be sent`,
    ],
    ["LF in one of the values", withHeaders({ "x-a": ["b", "c\nd"] }), `the header "x-a", with a character`],
    ["NUL in a value", withHeaders({ "x-a": "b\0" }), `the header "x-a", with a character`],
    ["a value beyond latin1", withHeaders({ "x-a": "€" }), `the header "x-a", with a character`],
    ["CR LF in a name", withHeaders({ "x-a: b\r\nx-c": "d" }), "with a character that can't be sent"],
    ["a pseudo-header of HTTP/2", withHeaders({ ":status": "200" }), "with a character that can't be sent"],
    ["a header that is NaN", withHeaders({ "Retry-After": Number.NaN }), "no string, finite number"],
    ["a header that is infinite", withHeaders({ "Retry-After": Number.POSITIVE_INFINITY }), "no string, finite number"],
    ["an empty name", withHeaders({ "": "a" }), "with a character that can't be sent"],
  ]),
  ...[
    ...["Upgrade", "connection", "CONTENT-LENGTH", "Transfer-Encoding", "Sec-WebSocket-Accept"],
    ...["sec-websocket-protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Anything"],
  ].map((name): [string, unknown, string] => [
    `the header ${name} beside a session`,
    admitted({ [name]: "0" }),
    `the header ${name}, which is written by the handshake alone`,
  ]),
])("refuses %s and names the fault", async (_, given, reason) => {
  await expect(decideBy(given)).rejects.toMatchObject({
    code: "ERR_AUTHORIZE",
    message: expect.stringContaining(reason),
  });
});
