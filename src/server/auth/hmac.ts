/**
 * HMAC signatures of tokens, with `node:crypto`. One check takes 4 µs; with WebCrypto, which `jose` uses, the same
 * check takes 25 to 60 µs of CPU and a detour through another thread. Each client's connect pays it.
 */
import type { KeyObject } from "node:crypto";
import { builtins } from "../../wire/node-internals/builtins.ts";

const HASHES = { HS256: "sha256", HS384: "sha384", HS512: "sha512" } as const;

export type HmacAlgorithm = keyof typeof HASHES;

export function isHmac(algorithm: string): algorithm is HmacAlgorithm {
  return Object.hasOwn(HASHES, algorithm);
}

/** Key from a secret of the config. */
export function hmacKey(secret: string): KeyObject {
  return builtins.crypto.createSecretKey(secret, "utf8");
}

/** Returns the signature in Base64url. */
export function signHmac(algorithm: HmacAlgorithm, key: KeyObject, signed: string): string {
  return builtins.crypto.createHmac(HASHES[algorithm], key).update(signed).digest("base64url");
}

/** Takes the same time wherever the first difference is. */
export function checkHmac(algorithm: HmacAlgorithm, key: KeyObject, signed: string, signature: string): boolean {
  const expected = Buffer.from(signHmac(algorithm, key, signed));
  const given = Buffer.from(signature);
  return given.length === expected.length && builtins.crypto.timingSafeEqual(given, expected);
}
