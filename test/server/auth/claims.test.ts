import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isTokenFor } from "../../../src/server/auth/claims.ts";
import { issueToken } from "../../../src/server/auth/issue-token.ts";
import { TokenVerifier } from "../../../src/server/auth/token-verifier.ts";
import { SECRET, tokenKeys } from "./token-keys.ts";

const keys = tokenKeys({ hmacSecretKey: SECRET });
const verifier = new TokenVerifier(keys);
/** A token whose payload is this text. */
function signText(payload: string): string {
  const signed = ['{"alg":"HS256"}', payload].map((part) => Buffer.from(part).toString("base64url")).join(".");
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

const connection = (claims: Record<string, unknown>) =>
  verifier.verifyConnection(issueToken(keys, { user: "", ...claims }));
const subscription = (claims: Record<string, unknown>) =>
  verifier.verifySubscription(issueToken(keys, { user: "42", channel: "news", ...claims }));

describe("a connection token", () => {
  it("grants nothing but the user by default", async () => {
    expect(await connection({ user: "42" })).toEqual({
      kind: "valid",
      claims: { user: "42", expireAt: undefined, info: undefined, meta: undefined, subs: {} },
    });
  });

  it("keeps whole numbers beyond 2^53 as they are, and refuses them as times", async () => {
    const big = "12345678901234567890";
    const claims = `{"sub":"a","uid":${big},"info":{"id":[${big},-${big}]},"meta":${big},"subs":{"news":{"data":${big}}}}`;
    const own = new TokenVerifier(tokenKeys({ hmacSecretKey: SECRET, userIdClaim: "uid" }));
    expect(await own.verifyConnection(signText(claims))).toMatchObject({
      claims: {
        user: big,
        info: Buffer.from(`{"id":[${big},-${big}]}`),
        meta: Buffer.from(big),
        subs: { news: { data: Buffer.from(big) } },
      },
    });
    for (const name of ["exp", "expire_at", "nbf"]) {
      const reason = `the claim ${name} isn't a number below 2^53`;
      expect(await verifier.verifyConnection(signText(`{"${name}":${big}}`))).toEqual({ kind: "invalid", reason });
    }
    for (const claim of ["sub", "subs", "override", "channels"]) {
      expect(await verifier.verifyConnection(signText(`{"${claim}":${big}}`))).toMatchObject(
        claim === "override" ? { kind: "valid" } : { kind: "invalid" },
      );
    }
  });

  it("is anonymous without a user", async () => {
    expect(await connection({})).toMatchObject({ claims: { user: "" } });
  });

  it("reads info and meta as JSON text, and b64info as bytes, which count first", async () => {
    expect(await connection({ info: { name: "Ann" }, meta: ["é", 1] })).toMatchObject({
      claims: { info: Buffer.from('{"name":"Ann"}'), meta: Buffer.from('["é",1]') },
    });
    expect(await connection({ info: 1, b64info: base64("\u0000\u0001") })).toMatchObject({
      claims: { info: Buffer.from([0, 1]) },
    });
    expect(await connection({ info: null, meta: null, b64info: "" })).toMatchObject({
      claims: { info: undefined, meta: undefined },
    });
    expect(await connection({ info: false, meta: 0 })).toMatchObject({
      claims: { info: Buffer.from("false"), meta: Buffer.from("0") },
    });
  });

  it.each([
    ["exp", { exp: 4_000_000_000 }, 4_000_000_000],
    ["expire_at before exp", { exp: 4_000_000_000, expire_at: 3_000_000_000 }, 3_000_000_000],
    ["the expire_at 0 as never", { exp: 4_000_000_000, expire_at: 0 }, undefined],
    ["an expire_at that has passed", { expire_at: 1 }, 1],
    ["whole seconds", { exp: 4_000_000_000.7 }, 4_000_000_000],
  ])("expires by %s", async (_, claims, expireAt) => {
    expect(await connection(claims)).toMatchObject({ claims: { expireAt } });
  });

  it("subscribes to channels, and to subs with what they say, which count first", async () => {
    expect(await connection({ channels: ["a", "b"] })).toMatchObject({ claims: { subs: { a: {}, b: {} } } });
    expect(await connection({ channels: ["a"], subs: {} })).toMatchObject({ claims: { subs: { a: {} } } });
    const subs = {
      a: { info: 1, data: { x: 1 }, override: { presence: { value: true }, join_leave: { value: false } } },
      b: { b64info: base64("i"), b64data: base64("d") },
      c: {},
    };
    const found = await connection({ channels: ["z"], subs });
    expect(found).toMatchObject({
      claims: {
        subs: {
          a: { info: Buffer.from("1"), data: Buffer.from('{"x":1}'), override: { presence: true, joinLeave: false } },
          b: { info: Buffer.from("i"), data: Buffer.from("d"), override: undefined },
        },
      },
    });
    expect(found.kind === "valid" && Object.keys(found.claims.subs)).toEqual(["a", "b", "c"]);
  });

  it("keeps a channel whose name is that of a property of all objects", async () => {
    const found = await connection({ channels: ["__proto__", "constructor"] });
    expect(found.kind === "valid" && Object.keys(found.claims.subs)).toEqual(["__proto__", "constructor"]);
  });

  it("takes the user from another claim, also a number", async () => {
    const other = tokenKeys({ hmacSecretKey: SECRET, userIdClaim: "uid" });
    const verify = (claims: Record<string, unknown>) =>
      new TokenVerifier(other).verifyConnection(issueToken(keys, { user: "not this one", ...claims }));
    expect(await verify({ uid: "42" })).toMatchObject({ claims: { user: "42" } });
    expect(await verify({ uid: 42 })).toMatchObject({ claims: { user: "42" } });
    expect(await verify({})).toMatchObject({ claims: { user: "" } });
    expect(await verify({ uid: 1.5 })).toMatchObject({ kind: "invalid" });
  });

  it.each([
    [{ channel: "news" }, "a connection token has no claim channel"],
    [{ channel: 1 }, "the claim channel isn't a string"],
    [{ sub: 42 }, "the claim sub isn't a string"],
    [{ sub: "\ud800" }, "the claim sub isn't a string"],
    [{ sub: { a: 1 } }, "the claim sub isn't a string"],
    [{ b64info: "é" }, "the claim b64info isn't Base64"],
    [{ b64info: "YQ" }, "the claim b64info isn't Base64"],
    [{ b64info: 1 }, "the claim b64info isn't a string"],
    [{ channels: "news" }, "the claim channels isn't an array of strings"],
    [{ channels: [1] }, "the claim channels isn't an array of strings"],
    [{ subs: [] }, "the claim subs isn't an object"],
    [{ subs: { a: 1 } }, "the claim subs has something that isn't an object"],
    [{ subs: { a: { b64data: "!" } } }, "the claim b64data isn't Base64"],
    [{ subs: { a: { override: 1 } } }, "the claim override isn't an object"],
    [{ subs: { a: { override: { presence: true } } } }, 'the claim override.presence isn\'t {"value": true or false}'],
    [
      { subs: { a: { override: { force_recovery: { value: 1 } } } } },
      'the claim override.force_recovery isn\'t {"value": true or false}',
    ],
  ])("is invalid with the claims %j", async (claims, reason) => {
    expect(await connection(claims)).toEqual({ kind: "invalid", reason });
  });
});

describe("a subscription token", () => {
  it("grants one channel to one user", async () => {
    expect(await subscription({})).toEqual({
      kind: "valid",
      claims: {
        user: "42",
        channel: "news",
        client: undefined,
        expireAt: undefined,
        info: undefined,
        data: undefined,
        override: undefined,
      },
    });
  });

  it("reads all claims", async () => {
    const override = {
      presence: { value: true },
      join_leave: { value: true },
      force_push_join_leave: { value: true },
      force_recovery: { value: true },
      force_positioning: { value: false },
      another: 1,
    };
    expect(await subscription({ client: "c1", exp: 4_000_000_000, info: 1, data: 2, override })).toMatchObject({
      claims: {
        client: "c1",
        expireAt: 4_000_000_000,
        info: Buffer.from("1"),
        data: Buffer.from("2"),
        override: {
          presence: true,
          joinLeave: true,
          forcePushJoinLeave: true,
          forceRecovery: true,
          forcePositioning: false,
        },
      },
    });
  });

  it("needs a channel", async () => {
    const reason = "a subscription token has the claim channel";
    expect(await subscription({ channel: undefined })).toEqual({ kind: "invalid", reason });
    expect(await subscription({ channel: "" })).toEqual({ kind: "invalid", reason });
  });

  it("is for one channel and one user, and one client if it names one", async () => {
    const claimsOf = async (claims: Record<string, unknown>) => {
      const found = await subscription(claims);
      if (found.kind !== "valid") throw new Error(`the token is ${found.kind}`);
      return found.claims;
    };
    const token = await claimsOf({});
    expect(isTokenFor(token, "news", "42", "c1")).toBe(true);
    expect(isTokenFor(token, "news2", "42", "c1")).toBe(false);
    expect(isTokenFor(token, "news", "43", "c1")).toBe(false);
    expect(isTokenFor(token, "news", "", "c1")).toBe(false);
    const forClient = await claimsOf({ client: "c1" });
    expect(isTokenFor(forClient, "news", "42", "c1")).toBe(true);
    expect(isTokenFor(forClient, "news", "42", "c2")).toBe(false);
  });
});

describe("issueToken", () => {
  it("makes tokens that the server of these keys accepts, with its audience, issuer and claim of the user", async () => {
    const own = tokenKeys({ hmacSecretKey: SECRET, audience: "us", issuer: "login", userIdClaim: "uid" });
    expect(await new TokenVerifier(own).verifyConnection(issueToken(own, { user: "42" }))).toMatchObject({
      kind: "valid",
      claims: { user: "42" },
    });
  });

  it("throws without a secret, and where an endpoint has the keys", () => {
    expect(() => issueToken(tokenKeys({}), { user: "42" })).toThrow("hmac_secret_key isn't set");
    const elsewhere = tokenKeys({ hmacSecretKey: SECRET, jwksPublicEndpoint: "http://127.0.0.1/keys" });
    expect(() => issueToken(elsewhere, { user: "42" })).toThrow("jwks_public_endpoint");
  });
});
