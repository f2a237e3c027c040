import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { TokenVerifier } from "../../../src/server/auth/token-verifier.ts";
import type { TokenKeys } from "../../../src/server/config/config.ts";
import { ecdsaPair, ed25519Pair, rsaPair, SECRET, sign, tokenKeys } from "./token-keys.ts";

const NOW_MS = 1_800_000_000_500;
const NOW = 1_800_000_000;

const verifierOf = (keys: Partial<TokenKeys>) => new TokenVerifier(tokenKeys(keys), () => NOW_MS);
const hmac = verifierOf({ hmacSecretKey: SECRET });
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Makes a token by hand: also such as no library makes. */
function forge(header: unknown, payload: unknown, secret: string): string {
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const rsa = rsaPair();
const curves = [
  { alg: "ES256", pair: ecdsaPair("P-256") },
  { alg: "ES384", pair: ecdsaPair("P-384") },
  { alg: "ES512", pair: ecdsaPair("P-521") },
];

describe("signatures", () => {
  it.each(["HS256", "HS384", "HS512"])("accepts %s", async (alg) => {
    expect(await hmac.verifyConnection(await sign({ sub: "42" }, SECRET, { alg }))).toMatchObject({
      kind: "valid",
      claims: { user: "42" },
    });
  });

  it.each(["RS256", "RS384", "RS512"])("accepts %s", async (alg) => {
    const token = await sign({ sub: "42" }, rsa.privateKey, { alg });
    expect(await verifierOf({ rsaPublicKey: rsa.pem }).verifyConnection(token)).toMatchObject({ kind: "valid" });
  });

  it.each(curves)("accepts $alg", async ({ alg, pair }) => {
    const token = await sign({ sub: "42" }, pair.privateKey, { alg });
    expect(await verifierOf({ ecdsaPublicKey: pair.pem }).verifyConnection(token)).toMatchObject({ kind: "valid" });
  });

  it("checks several kinds of keys side by side", async () => {
    const [{ pair }] = curves as [(typeof curves)[0]];
    const all = verifierOf({ hmacSecretKey: SECRET, rsaPublicKey: rsa.pem, ecdsaPublicKey: pair.pem });
    const tokens = [
      await sign({}, SECRET),
      await sign({}, rsa.privateKey, { alg: "RS256" }),
      await sign({}, pair.privateKey, { alg: "ES256" }),
    ];
    const kinds = await Promise.all(tokens.map(async (token) => (await all.verifyConnection(token)).kind));
    expect(kinds).toEqual(["valid", "valid", "valid"]);
  });

  it.each(["HS256", "RS256", "ES256"])("refuses %s by a foreign key", async (alg) => {
    const [{ pair }] = curves as [(typeof curves)[0]];
    const all = verifierOf({ hmacSecretKey: SECRET, rsaPublicKey: rsa.pem, ecdsaPublicKey: pair.pem });
    const foreign = { HS256: "another secret of 32 bytes and more", RS256: rsaPair(), ES256: ecdsaPair("P-256") }[alg];
    const token = await sign({ sub: "42" }, typeof foreign === "object" ? foreign.privateKey : String(foreign), {
      alg,
    });
    expect(await all.verifyConnection(token)).toEqual({ kind: "invalid", reason: "the signature is wrong" });
  });

  it.each(["none", "None", "NONE", "", "HS1", "toString", "EdDSA", "PS256"])(
    "refuses the algorithm %j",
    async (alg) => {
      const all = verifierOf({ hmacSecretKey: SECRET, rsaPublicKey: rsa.pem });
      const unsigned = `${encode({ alg })}.${encode({ sub: "42" })}.`;
      const expected = { kind: "invalid", reason: "there is no key for the token's algorithm" };
      expect(await all.verifyConnection(unsigned)).toEqual(expected);
      expect(await all.verifyConnection(forge({ alg }, { sub: "42" }, SECRET))).toEqual(expected);
    },
  );

  it.each([
    ["in PEM", rsa.pem],
    ["in PEM without the last line break", rsa.pem.trimEnd()],
    ["in DER", Buffer.from(rsa.pem.replaceAll(/-----.*-----|\s/g, ""), "base64").toString("latin1")],
    ["nothing", ""],
  ])("refuses an HMAC made with the public key %s", async (_, secret) => {
    const confused = forge({ alg: "HS256" }, { sub: "42" }, secret);
    const publicOnly = await verifierOf({ rsaPublicKey: rsa.pem }).verifyConnection(confused);
    expect(publicOnly).toEqual({ kind: "invalid", reason: "there is no key for the token's algorithm" });
    const both = await verifierOf({ rsaPublicKey: rsa.pem, hmacSecretKey: SECRET }).verifyConnection(confused);
    expect(both).toEqual({ kind: "invalid", reason: "the signature is wrong" });
  });

  it("refuses everything without keys", async () => {
    expect(await verifierOf({}).verifyConnection(await sign({}, SECRET))).toMatchObject({ kind: "invalid" });
    expect(await verifierOf({}).verifyConnection(forge({ alg: "HS256" }, {}, ""))).toMatchObject({ kind: "invalid" });
  });

  it("refuses a token of which any part was changed", async () => {
    const token = await sign({ sub: "42" }, SECRET);
    for (let at = 0; at < token.length; at++) {
      if (token[at] === ".") continue;
      const changed = `${token.slice(0, at)}${token[at] === "A" ? "B" : "A"}${token.slice(at + 1)}`;
      expect([at, (await hmac.verifyConnection(changed)).kind]).toEqual([at, "invalid"]);
    }
    for (const more of ["=", "A", " ", "\n", "."]) {
      expect([more, (await hmac.verifyConnection(token + more)).kind]).toEqual([more, "invalid"]);
    }
  });

  it.each([
    ["nothing", ""],
    ["a word", "garbage"],
    ["dots", ".."],
    ["four dots", "...."],
    ["an encrypted token", "a.b.c.d.e"],
    ["a header that isn't JSON", `${Buffer.from("{").toString("base64url")}.e30.e30`],
    ["a header that isn't an object", `${encode(["HS256"])}.e30.e30`],
    ["a header without an algorithm", `${encode({ typ: "JWT" })}.e30.e30`],
    ["an algorithm that isn't a string", `${encode({ alg: ["HS256"] })}.e30.e30`],
    ["a critical extension", forge({ alg: "HS256", crit: ["b64"], b64: false }, { sub: "42" }, SECRET)],
    ["a header nested too deeply", `${Buffer.from("[".repeat(40_000)).toString("base64url")}.e30.e30`],
    ["a huge token", forge({ alg: "HS256" }, { sub: "a".repeat(70_000) }, SECRET)],
    ["a huge word", "a".repeat(10_000_000)],
  ])("refuses %s", async (_, token) => {
    const expected = { kind: "invalid", reason: "it isn't a signed token" };
    expect(await hmac.verifyConnection(token)).toEqual(expected);
    expect(await hmac.verifySubscription(token)).toEqual(expected);
  });

  it.each([
    ["an array", [1]],
    ["a string", "claims"],
    ["null", null],
  ])("refuses a payload that is %s", async (_, payload) => {
    expect(await hmac.verifyConnection(forge({ alg: "HS256" }, payload, SECRET))).toEqual({
      kind: "invalid",
      reason: "its payload isn't a JSON object",
    });
  });

  it("throws nothing for claims that are nested deeply", async () => {
    const signed = `${encode({ alg: "HS256" })}.${Buffer.from(`{"info":${"[".repeat(20_000)}${"]".repeat(20_000)}}`).toString("base64url")}`;
    const token = `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
    expect((await hmac.verifyConnection(token)).kind).toMatch(/^(valid|invalid)$/);
  });
});

describe("rotation of the secret", () => {
  const previous = "the secret before, of 32 bytes and more";
  const rotated = (validUntil: number) =>
    verifierOf({
      hmacSecretKey: SECRET,
      hmacPreviousSecretKey: previous,
      hmacPreviousSecretKeyValidUntil: validUntil,
    });

  it.each([
    ["for ever", 0, "valid"],
    ["until a time to come", NOW + 1, "valid"],
    ["no longer", NOW, "invalid"],
  ])("accepts the previous secret %s", async (_, until, kind) => {
    expect((await rotated(until).verifyConnection(await sign({}, previous))).kind).toBe(kind);
    expect((await rotated(until).verifyConnection(await sign({}, SECRET))).kind).toBe("valid");
  });

  it("refuses a third secret", async () => {
    expect((await rotated(0).verifyConnection(await sign({}, `${SECRET}!`))).kind).toBe("invalid");
  });
});

describe("times", () => {
  it.each([
    ["no time", {}, "valid"],
    ["an expiry to come", { exp: NOW + 1 }, "valid"],
    ["an expiry to come, with a fraction", { exp: NOW + 0.6 }, "valid"],
    ["an expiry that has just passed", { exp: NOW + 0.5 }, "expired"],
    ["an expiry long ago", { exp: 1 }, "expired"],
    ["the expiry 0", { exp: 0 }, "expired"],
    ["a beginning that has passed", { nbf: NOW }, "valid"],
    ["a beginning to come", { nbf: NOW + 1 }, "expired"],
    ["null for times", { exp: null, nbf: null, expire_at: null }, "valid"],
    ["an expiry that is a string", { exp: String(NOW + 60) }, "invalid"],
    ["a beginning that is a string", { nbf: "0" }, "invalid"],
    ["an expiry of the connection that is a string", { expire_at: "0" }, "invalid"],
  ])("takes a token with %s as it should", async (_, claims, kind) => {
    expect((await hmac.verifyConnection(forge({ alg: "HS256" }, claims, SECRET))).kind).toBe(kind);
    const forChannel = forge({ alg: "HS256" }, { ...claims, channel: "a" }, SECRET);
    expect((await hmac.verifySubscription(forChannel)).kind).toBe(kind);
  });

  it("says nothing of a time if the signature is wrong", async () => {
    expect((await hmac.verifyConnection(await sign({ exp: 1 }, `${SECRET}!`))).kind).toBe("invalid");
  });
});

describe("audience and issuer", () => {
  it.each([
    ["the audience", { aud: "us" }, "valid"],
    ["the audience among others", { aud: ["them", "us"] }, "valid"],
    ["another audience", { aud: "them" }, "invalid"],
    ["other audiences", { aud: ["them"] }, "invalid"],
    ["no audience", {}, "invalid"],
    ["an audience that isn't a string", { aud: { us: true } }, "invalid"],
  ])("takes a token with %s as it should", async (_, claims, kind) => {
    const verifier = verifierOf({ hmacSecretKey: SECRET, audience: "us" });
    expect((await verifier.verifyConnection(forge({ alg: "HS256" }, claims, SECRET))).kind).toBe(kind);
  });

  it.each([
    ["the issuer", { iss: "login" }, "valid"],
    ["another issuer", { iss: "login2" }, "invalid"],
    ["several issuers", { iss: ["login"] }, "invalid"],
    ["no issuer", {}, "invalid"],
  ])("takes a token with %s as it should", async (_, claims, kind) => {
    const verifier = verifierOf({ hmacSecretKey: SECRET, issuer: "login" });
    expect((await verifier.verifyConnection(forge({ alg: "HS256" }, claims, SECRET))).kind).toBe(kind);
  });

  it("looks at neither if the config has neither", async () => {
    expect((await hmac.verifyConnection(await sign({ aud: "a", iss: "b" }, SECRET))).kind).toBe("valid");
  });
});

describe("public keys", () => {
  it.each([
    ["no PEM", { rsaPublicKey: "secret stuff" }, "rsa_public_key can't be used: it is no public key in PEM"],
    ["an EC key for RSA", { rsaPublicKey: ecdsaPair("P-256").pem }, "rsa_public_key can't be used: it is no RSA key"],
    ["an RSA key of 1024 bits", { rsaPublicKey: rsaPair(1_024).pem }, "it has 1024 bits"],
    ["an RSA key for ECDSA", { ecdsaPublicKey: rsa.pem }, "ecdsa_public_key can't be used: its curve is none of"],
    ["an Ed25519 key for ECDSA", { ecdsaPublicKey: ed25519Pair().pem }, "its curve is none of"],
    ["a curve without an algorithm", { ecdsaPublicKey: ecdsaPair("secp256k1").pem }, "its curve is none of"],
  ])("refuses %s, without telling the key", (_, keys, message) => {
    const make = () => verifierOf(keys);
    expect(make).toThrow(expect.objectContaining({ code: "ERR_OPTION" }));
    expect(make).toThrow(message);
    expect(make).not.toThrow("secret stuff");
  });
});

it("tells no part of a token or a secret in any reason", async () => {
  const told = await Promise.all(
    [
      await sign({ sub: "a-telling-name" }, `${SECRET}!`),
      forge({ alg: "a-telling-name" }, {}, SECRET),
      forge({ alg: "HS256" }, { sub: ["a-telling-name"] }, SECRET),
      forge({ alg: "HS256" }, { exp: "a-telling-name" }, SECRET),
      forge({ alg: "HS256" }, { channel: "a-telling-name" }, SECRET),
      forge({ alg: "HS256" }, { subs: { "a-telling-name": 1 } }, SECRET),
    ].map((token) => hmac.verifyConnection(token)),
  );
  expect(told.map(({ kind }) => kind)).toEqual(told.map(() => "invalid"));
  expect(JSON.stringify(told)).not.toContain("a-telling-name");
  expect(JSON.stringify(told)).not.toContain(SECRET);
});
