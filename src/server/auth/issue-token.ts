/** Makes tokens, for the command `switchboard token` and for tests. */
import { SwitchboardError } from "../../errors.ts";
import type { TokenKeys } from "../config/config.ts";
import { hmacKey, signHmac } from "./hmac.ts";

/** The user, and any claims of the protocol by their names in the token. */
export interface TokenRequest {
  /** User id; "" is anonymous. */
  readonly user: string;
  /** Unix time in seconds at which the token expires. Default: never. */
  readonly exp?: number | undefined;
  /** Makes a subscription token for this channel. Default: a connection token. */
  readonly channel?: string | undefined;
  readonly [claim: string]: unknown;
}

const ALGORITHM = "HS256";

/**
 * Returns a token that the server with these keys accepts. Claims that are undefined are left out. Throws `ERR_OPTION`
 * if these keys are no HMAC secret.
 */
export function issueToken(keys: TokenKeys, { user, ...claims }: TokenRequest): string {
  if (keys.jwksPublicEndpoint !== "") {
    throw new SwitchboardError(
      "ERR_OPTION",
      "tokens are checked with the keys of jwks_public_endpoint: make them there",
    );
  }
  if (keys.hmacSecretKey === "") {
    throw new SwitchboardError("ERR_OPTION", "hmac_secret_key isn't set: tokens are made with it");
  }
  const payload = {
    [keys.userIdClaim || "sub"]: user === "" ? undefined : user,
    iss: keys.issuer || undefined,
    aud: keys.audience || undefined,
    iat: Math.floor(Date.now() / 1_000),
    ...claims,
  };
  const signed = `${encode({ alg: ALGORITHM, typ: "JWT" })}.${encode(payload)}`;
  return `${signed}.${signHmac(ALGORITHM, hmacKey(keys.hmacSecretKey), signed)}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
