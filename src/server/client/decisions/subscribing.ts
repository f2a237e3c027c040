/** Decides whether a client may subscribe to a channel, in the documented order. */
import { isTokenFor } from "../../auth/claims.ts";
import type { Channel } from "../../channels/channels.ts";
import { maySubscribe } from "../../channels/permissions.ts";
import { DISCONNECTS, ERRORS } from "../../protocol/codes.ts";
import type { SubscribeRequest } from "../../protocol/messages.ts";
import type { Answer, ClientFacts, SubscriptionGrant } from "../backend.ts";
import type { ServerParts } from "../server-parts.ts";
import { because, disconnected, granted, refused, refusedToken } from "./answers.ts";

/** A decision, and who makes the next one when the subscription expires. */
export interface SubscriptionDecision extends SubscriptionGrant {
  /** True if the client has to bring a new token. */
  readonly byToken: boolean;
}

/** Facts are gathered only for an application that asks for them: the address of a client takes a system call. */
export interface SubscribingClient {
  readonly clientId: string;
  readonly user: string;
  facts(): ClientFacts;
}

export async function decideSubscription(
  server: ServerParts,
  channel: Channel,
  request: SubscribeRequest,
  client: SubscribingClient,
): Promise<Answer<SubscriptionDecision>> {
  const { user } = client;
  const decision = maySubscribe(
    channel,
    { user, isSubscribed: false, insecure: server.config.insecure },
    request.token,
  );
  switch (decision.kind) {
    case "granted":
      return granted({ byToken: false });
    case "refused":
      return refused(decision.error);
    case "askToken":
      return byToken(server, channel.name, request.token, client);
    case "askBackend": {
      const { backend } = server;
      if (backend.subscribe === undefined) return refused(ERRORS.notAvailable);
      const { token, data } = request;
      const answer = await backend.subscribe({ facts: client.facts(), channel: channel.name, token, data });
      return answer.kind === "result" ? granted({ ...answer.result, byToken: false }) : answer;
    }
  }
}

/** Decides by a token alone, at a subscription and when one is renewed. */
export async function byToken(
  { subscriptionTokens }: ServerParts,
  channel: string,
  token: string,
  { user, clientId }: Pick<SubscribingClient, "user" | "clientId">,
): Promise<Answer<SubscriptionDecision>> {
  const verified = await subscriptionTokens.verifySubscription(token);
  if (verified.kind !== "valid") return refusedToken(verified, refused(ERRORS.permissionDenied));
  if (isTokenFor(verified.claims, channel, user, clientId)) return granted({ ...verified.claims, byToken: true });
  // A token for somebody or something else is no mistake of time: the client must not go on.
  const detail = "it is for another channel, user or client";
  return because(disconnected(DISCONNECTS.invalidToken), "foreign_token", detail);
}
