/** The commands of a connected client, each with its answer. The client's actor sends the answers. */
import type { Actor } from "../../runtime/actor/actor.ts";
import type { Channel } from "../channels/channels.ts";
import type { Who } from "../channels/permissions.ts";
import { DISCONNECTS, ERRORS } from "../protocol/codes.ts";
import type { ClientInfo, Codec, Command, Reply, SubscribeRequest } from "../protocol/messages.ts";
import type { Answer, ClientFacts, ConnectionGrant } from "./backend.ts";
import type { ClientSubscriptions } from "./client-subscriptions.ts";
import { disconnected, expiryOf, granted, refused } from "./decisions/answers.ts";
import { publishAs } from "./decisions/publishing.ts";
import { readHistory, readPresence, readPresenceStats } from "./decisions/reading.ts";
import { renewedConnection, renewedSubscription } from "./decisions/renewing.ts";
import { decideSubscription } from "./decisions/subscribing.ts";
import type { ServerParts } from "./server-parts.ts";

/** The part of the client's actor that the commands use. */
export interface CommandingClient
  extends Pick<Actor, "publish" | "history" | "removeHistory" | "presence" | "presenceStats"> {
  readonly server: ServerParts;
  readonly codec: Codec;
  readonly clientId: string;
  readonly user: string;
  readonly clientInfo: ClientInfo;
  readonly subscriptions: ClientSubscriptions;
  facts(): ClientFacts;
  renewed(grant: Pick<ConnectionGrant, "expireAt" | "info" | "meta">): void;
}

/** Every command except `connect` and `pong`. */
export type ClientCommand = Exclude<Command, { readonly kind: "connect" | "pong" }>;

/**
 * Runs one command. Rejects with what the library refuses, such as an engine that is away.
 *
 * @param deliverAfter promise for which publications of a new subscription wait
 */
export async function runCommand(
  client: CommandingClient,
  command: ClientCommand,
  deliverAfter: Promise<unknown>,
): Promise<Answer<Reply>> {
  const { id } = command;
  const { server } = client;
  switch (command.kind) {
    case "subscribe": {
      const answer = await subscribe(client, command.request, deliverAfter);
      return then(answer, (result) => ({ id, kind: "subscribe", result }));
    }
    case "unsubscribe":
      client.subscriptions.end(command.request.channel);
      return granted({ id, kind: "unsubscribe" });
    case "publish": {
      const { channel, data, type } = command.request;
      if (type !== 0) return refused(ERRORS.notAvailable);
      const answer = await inChannel(client, channel, (known, who) => publishAs(client, known, who, data));
      return then(answer, () => ({ id, kind: "publish" }));
    }
    case "presence": {
      const { channel } = command.request;
      const answer = await inChannel(client, channel, (known, who) => readPresence(client, known, who));
      return then(answer, (result) => ({ id, kind: "presence", result }));
    }
    case "presence_stats": {
      const { channel } = command.request;
      const answer = await inChannel(client, channel, (known, who) => readPresenceStats(client, known, who));
      return then(answer, (result) => ({ id, kind: "presence_stats", result }));
    }
    case "history": {
      const { request } = command;
      const most = server.limits.historyMaxPublicationLimit;
      const answer = await inChannel(client, request.channel, (known, who) =>
        readHistory(client, known, who, request, most),
      );
      return then(answer, (result) => ({ id, kind: "history", result }));
    }
    case "rpc": {
      if (server.backend.rpc === undefined) return refused(ERRORS.notAvailable);
      const answer = await server.backend.rpc({ facts: client.facts(), ...command.request });
      return then(answer, (result) => ({ id, kind: "rpc", result }));
    }
    case "refresh": {
      const answer = await renewedConnection(server, command.request.token, client.user);
      if (answer.kind === "result") client.renewed(answer.result);
      const {
        clientId,
        server: { version },
      } = client;
      return then(answer, ({ expireAt }) => ({
        id,
        kind: "refresh",
        result: { client: clientId, version, ...expiryOf(expireAt) },
      }));
    }
    case "sub_refresh": {
      const { channel, token, type } = command.request;
      if (type !== 0) return refused(ERRORS.notAvailable);
      if (client.subscriptions.get(channel) === undefined) return refused(ERRORS.permissionDenied);
      const answer = await renewedSubscription(server, channel, token, client);
      if (answer.kind === "result") client.subscriptions.renewed(channel, answer.result.expireAt);
      return then(answer, ({ expireAt }) => ({ id, kind: "sub_refresh", result: expiryOf(expireAt) }));
    }
    case "send":
      return disconnected(DISCONNECTS.notAvailable);
    case "ping":
      return disconnected(DISCONNECTS.badRequest);
    default:
      return refused(ERRORS.methodNotFound);
  }
}

async function subscribe(client: CommandingClient, request: SubscribeRequest, deliverAfter: Promise<unknown>) {
  if (request.type !== 0) return refused(ERRORS.notAvailable);
  return inChannel(client, request.channel, async (channel) => {
    if (client.subscriptions.has(channel.name)) return refused(ERRORS.alreadySubscribed);
    const decision = await decideSubscription(client.server, channel, request, client);
    if (decision.kind !== "result") return decision;
    return client.subscriptions.begin(channel, request, { ...decision.result, isServerSide: false }, deliverAfter);
  });
}

async function inChannel<Result>(
  { server, user, subscriptions }: CommandingClient,
  name: string,
  work: (channel: Channel, who: Who) => Promise<Answer<Result>>,
): Promise<Answer<Result>> {
  const found = server.channels.of(name);
  if (found.kind === "unknown") return refused(ERRORS.unknownChannel);
  if (found.kind === "malformed") return refused(ERRORS.badRequest);
  const isSubscribed = subscriptions.get(name) !== undefined;
  return work(found.channel, { user, isSubscribed, insecure: server.config.insecure });
}

function then<Result>(answer: Answer<Result>, reply: (result: Result) => Reply): Answer<Reply> {
  return answer.kind === "result" ? granted(reply(answer.result)) : answer;
}
