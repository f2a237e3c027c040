/** Checks the new tokens of a client: `refresh` renews the connection, `sub_refresh` one subscription. */
import { DISCONNECTS, ERRORS } from "../../protocol/codes.ts";
import type { Answer, ConnectionGrant } from "../backend.ts";
import type { ServerParts } from "../server-parts.ts";
import { because, disconnected, granted, refused, refusedToken } from "./answers.ts";
import { byToken, type SubscribingClient, type SubscriptionDecision } from "./subscribing.ts";

type Renewed = Pick<ConnectionGrant, "expireAt" | "info" | "meta">;

export async function renewedConnection(
  { connectionTokens }: ServerParts,
  token: string,
  user: string,
): Promise<Answer<Renewed>> {
  if (token === "") return refused(ERRORS.badRequest);
  const verified = await connectionTokens.verifyConnection(token);
  const invalid = disconnected(DISCONNECTS.invalidToken);
  if (verified.kind !== "valid") return refusedToken(verified, invalid);
  const { user: ofToken, expireAt, info, meta } = verified.claims;
  if (ofToken !== user) return because(invalid, "foreign_token", "it is for another user");
  return granted({ expireAt, info, meta });
}

export async function renewedSubscription(
  server: ServerParts,
  channel: string,
  token: string,
  client: Pick<SubscribingClient, "user" | "clientId">,
): Promise<Answer<SubscriptionDecision>> {
  if (token === "") return refused(ERRORS.badRequest);
  return byToken(server, channel, token, client);
}
