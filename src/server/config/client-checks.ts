/** The checks of clients: times, origins, personal channels, tokens. */
import type { FileConfig } from "./keys/server-keys.ts";
import type { ConfigReader } from "./read.ts";

/** Fewest characters of a secret that nobody can guess. */
const MIN_HMAC_SECRET = 32;

/** Checks limits, origins and personal channels. */
export function checkClient({ client, channel }: FileConfig, reader: ConfigReader): void {
  if (client.pingIntervalMs > 0 && client.pongTimeoutMs >= client.pingIntervalMs) {
    reader.fault(["client.pong_timeout", "client.ping_interval"], "has to be shorter than client.ping_interval");
  }
  if (client.insecure) {
    reader.warn(["client.insecure"], "is on: anybody may connect, subscribe and publish");
  } else if (client.allowedOrigins.includes("*")) {
    reader.warn(["client.allowed_origins"], 'holds "*": pages of any site may connect in the name of their visitors');
  }
  const personal = client.subscribeToUserPersonalChannel;
  if (!personal.enabled) return;
  const own = "client.subscribe_to_user_personal_channel";
  const name = personal.personalChannelNamespace;
  const at = channel.namespaces.findIndex((namespace) => namespace.name === name);
  if (name !== "" && at < 0) {
    reader.fault(
      [`${own}.personal_channel_namespace`, "channel.namespaces"],
      `names the namespace ${JSON.stringify(name.slice(0, 60))}, which channel.namespaces doesn't have`,
    );
  }
}

type TokenFields = FileConfig["client"]["token"];

/** True if tokens can be checked. */
export function hasTokenKey({ hmacSecretKey, rsaPublicKey, ecdsaPublicKey, jwksPublicEndpoint }: TokenFields): boolean {
  return hmacSecretKey !== "" || rsaPublicKey !== "" || ecdsaPublicKey !== "" || jwksPublicEndpoint !== "";
}

const TOKEN_KEYS = ["hmac_secret_key", "rsa_public_key", "ecdsa_public_key", "jwks_public_endpoint"];

/** Checks the keys of tokens. */
export function checkTokens({ client }: FileConfig, reader: ConfigReader): void {
  const { token, subscriptionToken, proxy, insecure, allowAnonymousConnectWithoutToken } = client;
  if (!hasTokenKey(token) && !proxy.connect.enabled && !insecure && !allowAnonymousConnectWithoutToken) {
    reader.warn(
      [...TOKEN_KEYS.map((key) => `client.token.${key}`), "client.proxy.connect.enabled", "client.insecure"],
      "is missing, so no client can connect: set it, or client.proxy.connect, or client.insecure for development",
    );
  }
  if (subscriptionToken.enabled && !hasTokenKey(subscriptionToken)) {
    reader.fault(
      ["client.subscription_token.enabled", ...TOKEN_KEYS.map((key) => `client.subscription_token.${key}`)],
      "needs a key beside it, such as hmac_secret_key",
    );
  }
  const kinds = [
    ["client.token", token],
    ["client.subscription_token", subscriptionToken],
  ] as const;
  for (const [path, keys] of kinds) {
    checkJwks(path, keys, reader);
    const { hmacSecretKey, hmacPreviousSecretKey, hmacPreviousSecretKeyValidUntil } = keys;
    for (const [name, secret] of [
      ["hmac_secret_key", hmacSecretKey],
      ["hmac_previous_secret_key", hmacPreviousSecretKey],
    ] as const) {
      if (secret === "" || secret.length >= MIN_HMAC_SECRET) continue;
      reader.warn(
        [`${path}.${name}`],
        `has ${secret.length} characters only: at least ${MIN_HMAC_SECRET} can't be guessed from a token`,
      );
    }
    if (hmacPreviousSecretKeyValidUntil > 0 && hmacPreviousSecretKey === "") {
      reader.warn(
        [`${path}.hmac_previous_secret_key_valid_until`, `${path}.hmac_previous_secret_key`],
        "has no effect without hmac_previous_secret_key",
      );
    }
  }
}

function checkJwks(path: string, keys: TokenFields, reader: ConfigReader): void {
  const url = URL.parse(keys.jwksPublicEndpoint);
  if (url === null) return;
  const own = `${path}.jwks_public_endpoint`;
  if (url.username !== "" || url.password !== "") reader.fault([own], "takes a URL without a user and a password");
  const others = {
    hmac_secret_key: keys.hmacSecretKey,
    rsa_public_key: keys.rsaPublicKey,
    ecdsa_public_key: keys.ecdsaPublicKey,
  };
  for (const [name, key] of Object.entries(others)) {
    if (key !== "")
      reader.warn([`${path}.${name}`, own], "has no effect: the keys of jwks_public_endpoint take its place");
  }
}
