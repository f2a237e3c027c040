/** The keys of clients: who may connect, tokens, limits and times. */
import { duration, flag, integer, secret, section, text, texts } from "../description.ts";
import { switchedEndpointKeys } from "./endpoint-keys.ts";

const tokenKeys = {
  hmac_secret_key: secret("Secret of tokens that are signed with HS256, HS384 or HS512"),
  hmac_previous_secret_key: secret("Secret before the newest one, which counts as well while secrets are changed"),
  hmac_previous_secret_key_valid_until: integer(
    0,
    "Unix time in seconds until which `hmac_previous_secret_key` counts. 0: for ever",
  ),
  rsa_public_key: secret("Public key in PEM of tokens that are signed with RS256, RS384 or RS512", "rsa"),
  ecdsa_public_key: secret("Public key in PEM of tokens that are signed with ES256, ES384 or ES512", "ecdsa"),
  jwks_public_endpoint: secret("URL of public keys (JWKS), which take the place of all other keys", "url"),
  audience: text("", "What `aud` of a token has to be. Empty: anything"),
  issuer: text("", "What `iss` of a token has to be. Empty: anything"),
  user_id_claim: text("sub", "Claim of a token with the user id"),
};

export const client = section("Clients: who may connect, limits and times", {
  insecure: flag(false, "No client needs a token, and all is allowed to all. For development only"),
  allowed_origins: texts(
    'Origins whose pages may connect, such as `"https://example.com"` or `"https://*.example.com"`. `"*"`: all. Empty: those of the server\'s own host; if that is `localhost`, of every port there',
    "origin",
  ),
  token: section("Keys with which the tokens of connections, and of subscriptions, are checked", tokenKeys),
  subscription_token: section("Keys for the tokens of subscriptions, if they have their own", {
    enabled: flag(
      false,
      "The tokens of subscriptions are checked with the keys here, not with those of `client.token`",
    ),
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
    single_connection: flag(false, "A new connection of a user ends those before it (3503), on all nodes"),
  }),
  ping_interval: duration("25s", "Time between two pings of the server. 0: no pings"),
  pong_timeout: duration(
    "8s",
    "Time within which a client has to answer a ping, else it is closed with 3012. Shorter than `ping_interval`. 0: no answer is needed",
  ),
  stale_close_delay: duration("10s", "Time within which a client has to send `connect`, else it is closed with 3502", {
    least: "1ms",
  }),
  expired_close_delay: duration("25s", "Time that a client has for a new token after its connection expires"),
  expired_sub_close_delay: duration("25s", "Time that a client has for a new token after a subscription expires"),
  channel_limit: integer(128, "Number of channels of one client at most", { least: 1, most: 1_000_000 }),
  user_connection_limit: integer(
    0,
    "Number of connections of one user at most, on all nodes; a client beyond that gets the close 3504 in place of an answer to `connect`. 0: any",
  ),
  queue_max_size: integer(1_048_576, "Bytes that wait for a client that reads too slowly at most", {
    least: 1024,
    most: 2_147_483_647,
  }),
  history_max_publication_limit: integer(300, "Number of publications in one answer to `history` at most", {
    least: 1,
  }),
  recovery_max_publication_limit: integer(300, "Number of missed publications at most that a client gets", {
    least: 1,
  }),
});
