/** Tokens, API keys and bodies that are wrong, on a whole server. */
import { describe, expect, it } from "vitest";
import { API_KEY, SECRET, startTestServer } from "../support/server.ts";
import { open, outcome, token } from "./support/raw-token.ts";

const FUTURE = 4_000_000_000;
const PAST = 1_000_000_000;
const INVALID = { code: 3500, reason: "invalid token" };

const TOKENS_ONLY = {
  client: { token: { hmac_secret_key: SECRET, audience: "us" } },
  http_api: { key: API_KEY },
  channel: { without_namespace: {} },
};

describe("a token over the wire", () => {
  const mine = { sub: "a", aud: "us" };
  it.each([
    ["alg none", token(mine, { alg: "none" })],
    ["a foreign key", token(mine, { key: "another" })],
    ["an algorithm that has no key here", token(mine, { alg: "RS256" })],
    ["another audience", token({ sub: "a", aud: "them" })],
    ["a channel: a subscription's token", token({ ...mine, channel: "news" })],
    ["no form of a token", "a.b"],
  ])("of a connection with %s closes with 3500", async (_, bad) => {
    const server = await startTestServer(TOKENS_ONLY, 1);
    expect(await outcome(await open(server.ws), { connect: { token: bad } })).toEqual(INVALID);
  });

  it("of a connection that has expired is error 109", async () => {
    const server = await startTestServer(TOKENS_ONLY, 1);
    const answer = await outcome(await open(server.ws), { connect: { token: token({ ...mine, exp: PAST }) } });
    expect(answer).toMatchObject({ error: { code: 109 } });
  });

  it.each([
    ["for it", token({ ...mine, channel: "news", exp: FUTURE }), { subscribe: expect.anything() }],
    ["that has expired", token({ ...mine, channel: "news", exp: PAST }), { error: { code: 109 } }],
    ["with alg none", token({ ...mine, channel: "news" }, { alg: "none" }), { error: { code: 103 } }],
    ["with a foreign key", token({ ...mine, channel: "news" }, { key: "another" }), { error: { code: 103 } }],
    ["of a connection", token(mine), { error: { code: 103 } }],
    ["for another channel", token({ ...mine, channel: "other" }), INVALID],
    ["for another user", token({ ...mine, sub: "b", channel: "news" }), INVALID],
    ["for another client", token({ ...mine, channel: "news", client: "b" }), INVALID],
    ["that isn't there", "", { error: { code: 103 } }],
  ])("of a subscription: %s", async (_, given, expected) => {
    const server = await startTestServer(TOKENS_ONLY, 1);
    const client = await open(server.ws);
    await client.call({ connect: { token: token(mine) } });
    expect(await outcome(client, { subscribe: { channel: "news", token: given } })).toMatchObject(expected);
  });
});

describe("the API", () => {
  it("refuses wrong keys with 401, and too long bodies with 413", async () => {
    const server = await startTestServer(TOKENS_ONLY, 1);
    const post = async (headers: Record<string, string>, query = "", body = "{}") =>
      (await fetch(`${server.url}/api/info${query}`, { method: "POST", headers, body })).status;
    const right = { "X-API-Key": API_KEY };
    expect(await post(right)).toBe(200);
    expect(await post({})).toBe(401);
    expect(await post({ "X-API-Key": "" })).toBe(401);
    expect(await post({ "X-API-Key": `${API_KEY}x` })).toBe(401);
    expect(await post({ Authorization: `Bearer ${API_KEY}` })).toBe(401);
    expect(await post({}, "?api_key=x")).toBe(401);
    expect(await post(right, "", `{"x":"${"x".repeat(70 * 1024 * 1024)}"}`)).toBe(413);
  });
});
