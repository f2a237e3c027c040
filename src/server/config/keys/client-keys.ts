/** The keys of clients: who may connect, tokens, limits and times. */
import { duration, flag, integer, secret, section, text, texts } from "../description.ts";
import { switchedEndpointKeys } from "./endpoint-keys.ts";

const tokenKeys = {
  hmac_secret_key: secret("Secret of tokens that are signed with HS256, HS384 or HS512"),
  hmac_previous_secret_key: secret("The secret before, which stays valid beside the new one while you change secrets"),
  hmac_previous_secret_key_valid_until: integer(
    0,
    "Unix time in seconds until which `hmac_previous_secret_key` is valid. 0: for ever",
  ),
  rsa_public_key: secret("Public key in PEM of tokens that are signed with RS256, RS384 or RS512", "rsa"),
  ecdsa_public_key: secret("Public key in PEM of tokens that are signed with ES256, ES384 or ES512", "ecdsa"),
  jwks_public_endpoint: secret("URL of public keys (JWKS), which take the place of all other keys", "url"),
  audience: text("", "Value that `aud` of a token must have. Empty: any value"),
  issuer: text("", "Value that `iss` of a token must have. Empty: any value"),
  user_id_claim: text("sub", "Name of the claim that has the user id"),
};

export const client = section("Clients: who may connect, limits and times", {
  insecure: flag(false, "No client needs a token, and every client may do everything. For development only"),
  allowed_origins: texts(
    'Origins whose pages may connect, such as `"https://example.com"` or `"https://*.example.com"`. `"*"`: all. Empty: those of the server\'s own host; if that is `localhost`, on every port',
    "origin",
  ),
  token: section("Keys with which the tokens of connections, and of subscriptions, are checked", tokenKeys),
  subscription_token: section("Keys for the tokens of subscriptions, if they have their own", {
    enabled: flag(false, "Tokens of subscriptions are checked with these keys instead of those of `client.token`"),
    ...tokenKeys,
  }),
  proxy: section("Questions to the application about connections", {
    connect: section("Who connects. Asked for clients without a token", switchedEndpointKeys),
    refresh: section("Whether a connection that expires goes on", switchedEndpointKeys),
  }),
  allow_anonymous_connect_without_token: flag(false, "Clients without a token may connect. Their user id is empty"),
  disallow_anonymous_connection_tokens: flag(false, "Tokens with an empty user id are refused"),
  subscribe_to_user_personal_channel: section("A channel for each user, subscribed by the server", {
    enabled: flag(false, "Each client with a user id is subscribed to `#USER`"),
    personal_channel_namespace: text("", "Namespace of these channels. Empty: none"),
    single_connection: flag(
      false,
      "A new connection of a user ends the user's earlier connections (3503), on all nodes",
    ),
  }),
  ping_interval: duration("25s", "Time between two pings of the server. 0: no pings"),
  pong_timeout: duration(
    "8s",
    "Time that a client has to answer a ping; after that time it is closed with 3012. Shorter than `ping_interval`. 0: no answer is needed",
  ),
  stale_close_delay: duration(
    "10s",
    "Time that a client has to send `connect`; after that time it is closed with 3502",
    {
      least: "1ms",
    },
  ),
  expired_close_delay: duration("25s", "Time that a client has for a new token after its connection expires"),
  expired_sub_close_delay: duration("25s", "Time that a client has for a new token after a subscription expires"),
  channel_limit: integer(128, "Largest number of channels of one client", { least: 1, most: 1_000_000 }),
  user_connection_limit: integer(
    0,
    "Largest number of connections of one user, on all nodes. A client beyond this number is closed with 3504 when it connects. 0: no limit",
  ),
  queue_max_size: integer(1_048_576, "Largest number of bytes that wait for a client that reads too slowly", {
    least: 1024,
    most: 2_147_483_647,
  }),
  history_max_publication_limit: integer(300, "Largest number of publications in one answer to `history`", {
    least: 1,
  }),
  recovery_max_publication_limit: integer(300, "Largest number of missed publications that a client gets", {
    least: 1,
  }),
});
