/** A client publishes: its rights, the application's word, and the publication that is stored. */
import type { Actor } from "../../../runtime/actor/actor.ts";
import { hasHistory } from "../../channels/channel-options.ts";
import type { Channel } from "../../channels/channels.ts";
import { mayPublish, type Who } from "../../channels/permissions.ts";
import { ERRORS } from "../../protocol/codes.ts";
import { isJson } from "../../protocol/json/validate.ts";
import type { ClientInfo, Codec } from "../../protocol/messages.ts";
import { encodeStored } from "../../protocol/stored-publication.ts";
import type { Answer, ClientFacts, PublishGrant } from "../backend.ts";
import type { ServerParts } from "../server-parts.ts";
import { granted, refused } from "./answers.ts";

/** The part of a client that publishing uses. */
export interface Publisher extends Pick<Actor, "publish"> {
  readonly server: ServerParts;
  readonly codec: Codec;
  readonly clientInfo: ClientInfo;
  /** Knows what is shown of the client in a channel that it is subscribed to. */
  readonly subscriptions: { get(channel: string): { readonly info: Buffer | undefined } | undefined };
  facts(): ClientFacts;
}

export async function publishAs(
  publisher: Publisher,
  channel: Channel,
  who: Who,
  data: Buffer,
): Promise<Answer<undefined>> {
  if (data.length === 0) return refused(ERRORS.badRequest);
  const decision = await decide(publisher, channel, who, data);
  if (decision.kind !== "result") return decision;
  const { data: replaced, tags, idempotencyKey, skipHistory, delta = channel.options.deltaPublish } = decision.result;
  const taken = replaced ?? data;
  const { clientInfo, subscriptions, codec } = publisher;
  const stored = encodeStored({
    data: taken,
    info: { ...clientInfo, chan_info: subscriptions.get(channel.name)?.info },
    tags,
    isJson: (replaced === undefined && codec.name === "json") || isJson(taken),
    delta,
  });
  const store = hasHistory(channel.options) && skipHistory !== true;
  const key = store && idempotencyKey !== undefined ? { idempotencyKey } : {};
  const result = publisher.publish(channel.name, stored, { self: true, store, ...key });
  await result.stored;
  return granted(undefined);
}

async function decide(publisher: Publisher, channel: Channel, who: Who, data: Buffer): Promise<Answer<PublishGrant>> {
  const { backend } = publisher.server;
  const decision = mayPublish(channel, who);
  switch (decision.kind) {
    case "granted":
      return granted({});
    case "refused":
      return refused(decision.error);
    case "askBackend":
      if (backend.publish === undefined) return refused(ERRORS.notAvailable);
      return backend.publish({ facts: publisher.facts(), channel: channel.name, data });
  }
}
