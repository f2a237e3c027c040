import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { TokenVerifier } from "../../../src/server/auth/token-verifier.ts";
import { ecdsaPair, ed25519Pair, type KeyPair, rsaPair, SECRET, sign, tokenKeys } from "./token-keys.ts";

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;

const rsa = rsaPair();
const other = rsaPair();

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** An endpoint and a verifier with its keys. `answer` may change; `calls` counts requests; `time` is the clock. */
async function provider(answer: RequestListener) {
  const state = { answer, calls: 0, time: 0, verifier: new TokenVerifier(tokenKeys({})), endpoint: "" };
  server = createServer((request, response) => {
    state.calls++;
    state.answer(request, response);
  });
  await new Promise<void>((done) => server?.listen(0, "127.0.0.1", done));
  state.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
  state.verifier = new TokenVerifier(tokenKeys({ jwksPublicEndpoint: state.endpoint }), () => state.time);
  return state;
}

const keySet = (...keys: (KeyPair["jwk"] | object)[]) => JSON.stringify({ keys });
const answering =
  (body: string, status = 200): RequestListener =>
  (_, response) => {
    response.writeHead(status, { "content-type": "application/json" }).end(body);
  };
const tokenOf = (pair: KeyPair, alg: string, kid?: string) =>
  sign({ sub: "42" }, pair.privateKey, kid === undefined ? { alg } : { alg, kid });

describe("a key set", () => {
  it.each([
    { alg: "RS256", pair: rsa },
    { alg: "RS512", pair: rsa },
    { alg: "ES256", pair: ecdsaPair("P-256") },
    { alg: "ES384", pair: ecdsaPair("P-384") },
    { alg: "ES512", pair: ecdsaPair("P-521") },
    { alg: "EdDSA", pair: ed25519Pair() },
  ])("has a key for $alg", async ({ alg, pair }) => {
    const { verifier } = await provider(answering(keySet({ ...pair.jwk, kid: "a" }, { ...other.jwk, kid: "b" })));
    expect(await verifier.verifyConnection(await tokenOf(pair, alg, "a"))).toMatchObject({
      kind: "valid",
      claims: { user: "42" },
    });
  });

  it("takes a token without the name of a key if only one key fits", async () => {
    const { verifier } = await provider(answering(keySet(rsa.jwk, ecdsaPair("P-256").jwk)));
    expect((await verifier.verifyConnection(await tokenOf(rsa, "RS256"))).kind).toBe("valid");
  });

  it("refuses a token without the name of a key if several keys fit", async () => {
    const { verifier } = await provider(answering(keySet(rsa.jwk, other.jwk)));
    expect(await verifier.verifyConnection(await tokenOf(rsa, "RS256"))).toEqual({
      kind: "invalid",
      reason: "the token names no key (kid), and several fit",
    });
  });

  it.each([
    ["a signature by another key", { ...other.jwk, kid: "a" }],
    ["a key for encryption", { ...rsa.jwk, kid: "a", use: "enc" }],
    ["a key for another algorithm", { ...rsa.jwk, kid: "a", alg: "RS512" }],
    ["a key of another type", { ...ecdsaPair("P-256").jwk, kid: "a" }],
    ["a key that is broken", { kty: "RSA", kid: "a", n: "!", e: 7 }],
    ["a key that isn't an object", "a"],
    ["no keys", undefined],
  ])("refuses a token that meets %s", async (_, key) => {
    const { verifier } = await provider(answering(key === undefined ? keySet() : keySet(key as object)));
    const { kind } = await verifier.verifyConnection(await tokenOf(rsa, "RS256", "a"));
    expect(kind).toBe(key === "a" ? "unavailable" : "invalid");
  });

  it("never takes a published key as a secret, and takes the place of the secret", async () => {
    const secret = { kty: "oct", kid: "a", k: Buffer.from(SECRET).toString("base64url") };
    const state = await provider(answering(keySet(secret, { ...rsa.jwk, kid: "b" })));
    const both = new TokenVerifier(tokenKeys({ jwksPublicEndpoint: state.endpoint, hmacSecretKey: SECRET }));
    for (const material of [SECRET, rsa.pem]) {
      const token = await sign({ sub: "42" }, material, { alg: "HS256", kid: "a" });
      expect((await state.verifier.verifyConnection(token)).kind).toBe("invalid");
      expect((await both.verifyConnection(token)).kind).toBe("invalid");
    }
    expect(state.calls).toBe(0);
  });
});

describe("the endpoint", () => {
  it("is asked once for many tokens at once, and not again within an hour", async () => {
    const state = await provider(answering(keySet({ ...rsa.jwk, kid: "a" })));
    const token = await tokenOf(rsa, "RS256", "a");
    const found = await Promise.all(Array.from({ length: 50 }, () => state.verifier.verifyConnection(token)));
    expect(new Set(found.map(({ kind }) => kind))).toEqual(new Set(["valid"]));
    state.time = HOUR - 1;
    await state.verifier.verifyConnection(token);
    expect(state.calls).toBe(1);
    state.time = HOUR;
    await state.verifier.verifyConnection(token);
    expect(state.calls).toBe(2);
  });

  it("is asked again for an unknown key, but not more than once in five seconds", async () => {
    const state = await provider(answering(keySet({ ...rsa.jwk, kid: "a" })));
    await state.verifier.verifyConnection(await tokenOf(rsa, "RS256", "a"));
    const unknown = await tokenOf(other, "RS256", "b");
    for (let round = 0; round < 20; round++) {
      expect(await state.verifier.verifyConnection(unknown)).toEqual({
        kind: "invalid",
        reason: "the token's key isn't in the key set",
      });
    }
    expect(state.calls).toBe(1);
    state.answer = answering(keySet({ ...other.jwk, kid: "b" }));
    state.time = 5 * SECOND;
    expect((await state.verifier.verifyConnection(unknown)).kind).toBe("valid");
    expect(state.calls).toBe(2);
    expect((await state.verifier.verifyConnection(await tokenOf(rsa, "RS256", "a"))).kind).toBe("invalid");
  });

  it("is asked again if the clock was set back", async () => {
    const state = await provider(answering("", 500));
    state.time = HOUR;
    const token = await tokenOf(rsa, "RS256", "a");
    expect((await state.verifier.verifyConnection(token)).kind).toBe("unavailable");
    state.answer = answering(keySet({ ...rsa.jwk, kid: "a" }));
    state.time = 0;
    expect((await state.verifier.verifyConnection(token)).kind).toBe("valid");
  });

  it("is tried a second time at once", async () => {
    const state = await provider((request, response) => {
      state.answer = answering(keySet({ ...rsa.jwk, kid: "a" }));
      answering("", 503)(request, response);
    });
    expect((await state.verifier.verifyConnection(await tokenOf(rsa, "RS256", "a"))).kind).toBe("valid");
    expect(state.calls).toBe(2);
  });

  it.each([
    ["a failure", answering(keySet(rsa.jwk), 500), "its answer has status 500"],
    ["another place", answering("", 302), "its answer has status 302"],
    ["no JSON", answering("<html>"), "its answer isn't a key set"],
    ["JSON that isn't a key set", answering('{"keys":{}}'), "its answer isn't a key set"],
    ["null", answering("null"), "its answer isn't a key set"],
    ["too much", answering(" ".repeat(300_000)), "its answer has more than 262144 bytes"],
    ["the end of the connection", ((request) => request.socket.destroy()) as RequestListener, "it can't be reached"],
  ])("answers %s: the token may be valid later", async (_, answer, fault) => {
    const state = await provider(answer);
    const token = await tokenOf(rsa, "RS256", "a");
    const expected = { kind: "unavailable", reason: `the JWKS endpoint gives no keys: ${fault}` };
    expect(await state.verifier.verifyConnection(token)).toEqual(expected);
    expect(state.calls).toBe(2);
    expect(await state.verifier.verifyConnection(token)).toEqual(expected);
    expect(state.calls).toBe(2);
    state.answer = answering(keySet({ ...rsa.jwk, kid: "a" }));
    state.time = 5 * SECOND;
    expect((await state.verifier.verifyConnection(token)).kind).toBe("valid");
  });

  it.each([
    ["never answers", () => {}],
    ["never ends its answer", ((_, response) => response.writeHead(200).write('{"keys":')) as RequestListener],
  ])("%s: the token may be valid later", async (_, answer) => {
    const state = await provider(answer);
    const { kind, ...rest } = await state.verifier.verifyConnection(await tokenOf(rsa, "RS256", "a"));
    expect({ kind, ...rest }).toEqual({
      kind: "unavailable",
      reason: "the JWKS endpoint gives no keys: it didn't answer within 1000 ms",
    });
    expect(state.calls).toBe(2);
  });

  it("fails for less than a day: the keys count that were there", async () => {
    const state = await provider(answering(keySet({ ...rsa.jwk, kid: "a" })));
    const token = await tokenOf(rsa, "RS256", "a");
    await state.verifier.verifyConnection(token);
    state.answer = answering("", 500);
    state.time = 24 * HOUR - 1;
    expect((await state.verifier.verifyConnection(token)).kind).toBe("valid");
    state.time = 24 * HOUR;
    expect((await state.verifier.verifyConnection(token)).kind).toBe("unavailable");
  });

  it("has an address that nothing tells", async () => {
    const address = "http://user:a-telling-password@127.0.0.1:1/keys";
    for (const jwksPublicEndpoint of [address, `${address} not a URL`, "a-telling-password"]) {
      const verifier = new TokenVerifier(tokenKeys({ jwksPublicEndpoint }));
      const found = await verifier.verifyConnection(await tokenOf(rsa, "RS256", "a"));
      expect(found).toEqual({
        kind: "unavailable",
        reason: "the JWKS endpoint gives no keys: it can't be reached",
      });
    }
  });
});
