import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { type JWK, SignJWT } from "jose";
import type { TokenKeys } from "../../../src/server/config/config.ts";

export const SECRET = "the secret of these tests, 32 bytes and more";

const NO_KEYS: TokenKeys = {
  hmacSecretKey: "",
  hmacPreviousSecretKey: "",
  hmacPreviousSecretKeyValidUntil: 0,
  rsaPublicKey: "",
  ecdsaPublicKey: "",
  jwksPublicEndpoint: "",
  audience: "",
  issuer: "",
  userIdClaim: "sub",
};

/** Keys of a config, by what is set. */
export function tokenKeys(keys: Partial<TokenKeys>): TokenKeys {
  return { ...NO_KEYS, ...keys };
}

export interface KeyPair {
  readonly privateKey: KeyObject;
  /** Public key. */
  readonly pem: string;
  readonly jwk: JWK;
}

export function rsaPair(modulusLength = 2_048): KeyPair {
  return asPair(generateKeyPairSync("rsa", { modulusLength }));
}

export function ecdsaPair(namedCurve: string): KeyPair {
  return asPair(generateKeyPairSync("ec", { namedCurve }));
}

export function ed25519Pair(): KeyPair {
  return asPair(generateKeyPairSync("ed25519"));
}

function asPair({ privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject }): KeyPair {
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  return { privateKey, pem, jwk: publicKey.export({ format: "jwk" }) as JWK };
}

/** Signs with `jose`, as an application would. */
export function sign(
  claims: Record<string, unknown>,
  key: KeyObject | string,
  header: { alg: string; kid?: string } = { alg: "HS256" },
): Promise<string> {
  const material = typeof key === "string" ? new TextEncoder().encode(key) : key;
  return new SignJWT(claims).setProtectedHeader(header).sign(material);
}
