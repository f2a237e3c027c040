/** What a client's new tokens change: `refresh` for the connection, `sub_refresh` for one subscription. */
import { DISCONNECTS, ERRORS } from "../../protocol/codes.ts";
import type { Answer, ConnectionGrant } from "../backend.ts";
import type { ServerParts } from "../server-parts.ts";
import { disconnected, granted, refused } from "./answers.ts";
import { byToken, type SubscribingClient, type SubscriptionDecision } from "./subscribing.ts";

type Renewed = Pick<ConnectionGrant, "expireAt" | "info" | "meta">;

export async function renewedConnection(
  { connectionTokens }: ServerParts,
  token: string,
  user: string,
): Promise<Answer<Renewed>> {
  if (token === "") return refused(ERRORS.badRequest);
  const verified = await connectionTokens.verifyConnection(token);
  switch (verified.kind) {
    case "valid": {
      if (verified.claims.user !== user) return disconnected(DISCONNECTS.invalidToken);
      const { expireAt, info, meta } = verified.claims;
      return granted({ expireAt, info, meta });
    }
    case "expired":
      return refused(ERRORS.tokenExpired);
    case "unavailable":
      return refused(ERRORS.internal);
    case "invalid":
      return disconnected(DISCONNECTS.invalidToken);
  }
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
