import { createHmac } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { TokenVerifier } from "../../../src/server/auth/token-verifier.ts";
import { rsaPair, SECRET, tokenKeys } from "./token-keys.ts";

const verifier = new TokenVerifier(tokenKeys({ hmacSecretKey: SECRET, rsaPublicKey: rsaPair().pem }));

/** Checks as a connection and as a subscription token, and returns the kinds of both results. */
async function kindsOf(token: string): Promise<string[]> {
  const results = await Promise.all([verifier.verifyConnection(token), verifier.verifySubscription(token)]);
  return results.map(({ kind }) => kind);
}

const encode = (text: string) => Buffer.from(text).toString("base64url");
const header = fc.oneof(
  fc.constantFrom("HS256", "RS256", "none", "").map((alg) => JSON.stringify({ alg })),
  fc.json(),
  fc.string(),
);

/** Mostly a value of the right type. */
const mostly = <Value>(right: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 9, arbitrary: right }, { weight: 1, arbitrary: fc.jsonValue() });
const text = mostly(fc.string());
const time = mostly(fc.constantFrom(0, 1, 4e9, 4e9 + 0.5));
const base64 = mostly(fc.base64String());
const info = { info: fc.jsonValue(), b64info: base64, data: fc.jsonValue(), b64data: base64 };
const override = mostly(
  fc.dictionary(fc.constantFrom("presence", "join_leave"), mostly(fc.record({ value: fc.boolean() }))),
);
const claims = fc.record(
  {
    ...info,
    sub: text,
    exp: mostly(fc.constant(4e9)),
    nbf: mostly(fc.constant(1)),
    expire_at: time,
    meta: fc.jsonValue(),
    channels: mostly(fc.array(fc.string())),
    subs: mostly(fc.dictionary(fc.string(), mostly(fc.record({ ...info, override }, { requiredKeys: [] })))),
    channel: text,
    client: text,
    override,
    aud: fc.jsonValue(),
    iss: fc.jsonValue(),
  },
  { requiredKeys: [] },
);

it("refuses anything that nobody signed, and never rejects", async () => {
  const parts = fc.tuple(
    header.map(encode),
    claims.map((all) => encode(JSON.stringify(all))),
    fc.base64String(),
  );
  const tokens = fc.oneof(
    fc.string(),
    parts.map((all) => all.join(".")),
  );
  await fc.assert(
    fc.asyncProperty(tokens, async (token) => {
      expect(await kindsOf(token)).toEqual(["invalid", "invalid"]);
    }),
    { numRuns: 1_000 },
  );
});

it("never rejects whatever the claims are, and grants only what has the right types", async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(claims, async (all) => {
      const signed = `${encode('{"alg":"HS256"}')}.${encode(JSON.stringify(all))}`;
      const token = `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
      const connection = await verifier.verifyConnection(token);
      seen.add(`connection ${connection.kind}`);
      if (connection.kind === "valid") {
        const { user, expireAt = 1, info, meta, subs } = connection.claims;
        expect([typeof user, Number.isInteger(expireAt)]).toEqual(["string", true]);
        const bytes = [info, meta, ...Object.values(subs).flatMap((sub) => [sub.info, sub.data])];
        for (const some of bytes) expect(some === undefined || Buffer.isBuffer(some)).toBe(true);
      }
      const subscription = await verifier.verifySubscription(token);
      seen.add(`subscription ${subscription.kind}`);
      if (subscription.kind === "valid") expect(subscription.claims.channel).not.toBe("");
    }),
    { numRuns: 1_000 },
  );
  const kinds = ["connection invalid", "connection valid", "subscription invalid", "subscription valid"];
  expect([...seen].toSorted()).toEqual(expect.arrayContaining(kinds));
});
