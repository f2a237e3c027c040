/** The keys that stand in the config: HMAC secrets, one of them from before a rotation, and public keys in PEM. */
import type { KeyObject } from "node:crypto";
import { compactVerify } from "jose";
import { SwitchboardError } from "../../errors.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import type { TokenKeys } from "../config/config.ts";
import type { CompactToken } from "./compact-token.ts";
import { checkHmac, type HmacAlgorithm, hmacKey, isHmac } from "./hmac.ts";
import { type SignatureKeys, type SignatureResult, UNUSABLE_ALGORITHM, VALID, WRONG_SIGNATURE } from "./signature.ts";

const RSA_ALGORITHMS = ["RS256", "RS384", "RS512"];
/** The least that RFC 7518, section 3.3 allows. */
const MIN_RSA_BITS = 2_048;

/** Algorithms by the name that OpenSSL gives to a curve (RFC 7518, section 3.4). */
const ECDSA_ALGORITHMS: ReadonlyMap<string | undefined, string> = new Map([
  ["prime256v1", "ES256"],
  ["secp384r1", "ES384"],
  ["secp521r1", "ES512"],
]);

/**
 * Checks signatures with the keys of the config. The algorithm of a token decides which key is used, and each key is
 * used only for its own algorithms. A public key is never a secret: a token whose HMAC was made with a public key is
 * refused.
 */
export class ConfiguredKeys implements SignatureKeys {
  readonly #now: () => number;
  readonly #secret: KeyObject | undefined;
  readonly #previousSecret: KeyObject | undefined;
  /** Time in ms since 1970. */
  readonly #previousSecretUntil: number;
  readonly #publicKeys: ReadonlyMap<string, KeyObject>;

  /** `now` is the time in ms since 1970. Throws `ERR_OPTION` for a public key that can't be used, without the key. */
  constructor(keys: TokenKeys, now: () => number) {
    this.#now = now;
    this.#secret = keys.hmacSecretKey === "" ? undefined : hmacKey(keys.hmacSecretKey);
    this.#previousSecret = keys.hmacPreviousSecretKey === "" ? undefined : hmacKey(keys.hmacPreviousSecretKey);
    const until = keys.hmacPreviousSecretKeyValidUntil;
    this.#previousSecretUntil = until === 0 ? Number.POSITIVE_INFINITY : until * 1_000;
    this.#publicKeys = new Map([...rsaKeys(keys.rsaPublicKey), ...ecdsaKeys(keys.ecdsaPublicKey)]);
  }

  check(token: CompactToken): SignatureResult | Promise<SignatureResult> {
    if (isHmac(token.algorithm)) return this.#checkHmac(token.algorithm, token);
    const key = this.#publicKeys.get(token.algorithm);
    return key === undefined ? UNUSABLE_ALGORITHM : checkPublic(token, key);
  }

  #checkHmac(algorithm: HmacAlgorithm, { signed, signature }: CompactToken): SignatureResult {
    const previous = this.#now() <= this.#previousSecretUntil ? this.#previousSecret : undefined;
    const keys = [this.#secret, previous].filter((key) => key !== undefined);
    if (keys.length === 0) return UNUSABLE_ALGORITHM;
    return keys.some((key) => checkHmac(algorithm, key, signed, signature)) ? VALID : WRONG_SIGNATURE;
  }
}

async function checkPublic(token: CompactToken, key: KeyObject): Promise<SignatureResult> {
  try {
    await compactVerify(token.text, key, { algorithms: [token.algorithm] });
    return VALID;
  } catch {
    return WRONG_SIGNATURE;
  }
}

function rsaKeys(pem: string): [string, KeyObject][] {
  if (pem === "") return [];
  const key = publicKey("rsa_public_key", pem);
  if (key.asymmetricKeyType !== "rsa") throw unusable("rsa_public_key", "it is no RSA key");
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (bits < MIN_RSA_BITS) throw unusable("rsa_public_key", `it has ${bits} bits; an RSA key has at least 2048`);
  return RSA_ALGORITHMS.map((algorithm) => [algorithm, key]);
}

function ecdsaKeys(pem: string): [string, KeyObject][] {
  if (pem === "") return [];
  const key = publicKey("ecdsa_public_key", pem);
  const algorithm = ECDSA_ALGORITHMS.get(key.asymmetricKeyDetails?.namedCurve);
  if (algorithm === undefined) throw unusable("ecdsa_public_key", "its curve is none of P-256, P-384 and P-521");
  return [[algorithm, key]];
}

function publicKey(name: string, pem: string): KeyObject {
  try {
    return builtins.crypto.createPublicKey(pem);
  } catch {
    throw unusable(name, "it is no public key in PEM (-----BEGIN PUBLIC KEY-----)");
  }
}

function unusable(name: string, why: string): SwitchboardError {
  return new SwitchboardError("ERR_OPTION", `${name} can't be used: ${why}`);
}
