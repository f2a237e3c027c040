/** The subscriptions that the server begins when a client connects. The client's actor asks for them. */
import { ERRORS } from "../protocol/codes.ts";
import type { ConnectRequest, SubscribeResult } from "../protocol/messages.ts";
import type { Answer, ConnectionGrant, SubscriptionGrant } from "./backend.ts";
import type { ClientSubscriptions } from "./client-subscriptions.ts";
import { granted, refused } from "./decisions/answers.ts";
import type { ServerParts } from "./server-parts.ts";
import { NO_BEGIN } from "./subscribe-answer.ts";

/** A client with these subscriptions may come back with a position. */
export const SERVER_SIDE_BEGIN = Object.freeze({ ...NO_BEGIN, recoverable: true, positioned: true });

/** Begins the subscriptions that the grant asks for, and that to the client's personal channel. */
export async function beginServerSide(
  server: ServerParts,
  subscriptions: ClientSubscriptions,
  { subs: had }: ConnectRequest,
  grant: ConnectionGrant,
  deliverAfter: Promise<unknown>,
): Promise<Answer<Readonly<Record<string, SubscribeResult>>>> {
  // A channel may have the name of a property of all objects, such as `__proto__`.
  const results: Record<string, SubscribeResult> = Object.create(null);
  const answers = Object.entries(wantedBy(server, grant)).map(async ([name, wanted]) => {
    const found = server.channels.of(name);
    if (found.kind === "unknown") return refused(ERRORS.unknownChannel);
    if (found.kind === "malformed") return refused(ERRORS.badRequest);
    const begin = Object.hasOwn(had, name) ? { ...SERVER_SIDE_BEGIN, ...had[name] } : SERVER_SIDE_BEGIN;
    const admission = { ...wanted, isServerSide: true, byToken: false };
    const answer = await subscriptions.begin(found.channel, begin, admission, deliverAfter);
    if (answer.kind === "result") results[name] = answer.result;
    return answer;
  });
  const refusal = (await Promise.all(answers)).find((answer) => answer.kind !== "result");
  return refusal ?? granted(results);
}

function wantedBy({ config }: ServerParts, { subs = {}, user }: ConnectionGrant): Record<string, SubscriptionGrant> {
  const { enabled, personalChannelNamespace: namespace } = config.subscribeToUserPersonalChannel;
  if (!enabled || user === "") return subs;
  const personal = `${namespace === "" ? "" : `${namespace}:`}#${user}`;
  return { [personal]: {}, ...subs };
}
