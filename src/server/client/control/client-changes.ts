/**
 * Changes that the HTTP API makes to one client: `control-answers.ts` asks for them, and so does a client that arrived
 * from another shard together with a question.
 */
import type { Channels } from "../../channels/channels.ts";
import { DISCONNECTS } from "../../protocol/codes.ts";
import type { ClientRegistry, RegisteredClient } from "../client-registry.ts";
import { SERVER_SIDE_BEGIN } from "../server-side.ts";
import type { ChangeQuestion, RefreshQuestion, SubscribeClientsQuestion, UnsubscribeQuestion } from "./control.ts";

/** The clients of a shard, and its channels. */
export interface ControlledShard {
  readonly registry: ClientRegistry;
  readonly channels: Channels;
}

/** Changes a client, behind its commands that are under way. Resolves with true if there was something to change. */
export function changeClient(
  server: Pick<ControlledShard, "channels">,
  client: RegisteredClient,
  question: ChangeQuestion,
): Promise<boolean> {
  switch (question.kind) {
    case "disconnect":
      return client.soon(() => {
        client.closeWith({ code: question.code, reason: question.reason });
        return true;
      });
    case "unsubscribe":
      return client.soon(() => unsubscribe(client, question), question.channel);
    case "subscribe":
      return client.soon(() => subscribe(server, client, question), question.channel);
    case "refresh":
      return client.soon(() => refresh(client, question));
  }
}

async function subscribe(
  server: Pick<ControlledShard, "channels">,
  client: RegisteredClient,
  { channel: name, info, data, expireAt, override, recoverSince }: SubscribeClientsQuestion,
): Promise<boolean> {
  const found = server.channels.of(name);
  if (found.kind !== "known" || client.subscriptions.has(name)) return false;
  const deliverAfter = Promise.withResolvers<void>();
  const begin =
    recoverSince === undefined ? SERVER_SIDE_BEGIN : { ...SERVER_SIDE_BEGIN, ...recoverSince, recover: true };
  const grant = { info: info && bufferOf(info), data: data && bufferOf(data), expireAt, override };
  const admission = { ...grant, isServerSide: true, byToken: false };
  try {
    const answer = await client.subscriptions.begin(found.channel, begin, admission, deliverAfter.promise);
    if (answer.kind !== "result") return false;
    client.push({ kind: "subscribe", channel: name, result: answer.result });
    for (const pub of answer.result.publications ?? []) client.push({ kind: "pub", channel: name, pub });
    client.pushOwnJoin(name);
    return true;
  } finally {
    deliverAfter.resolve();
  }
}

function unsubscribe(client: RegisteredClient, { channel, code, reason }: UnsubscribeQuestion): boolean {
  const all = Array.from(client.subscriptions.values(), (subscription) => subscription.channel.name);
  const ended = (channel === "" ? all : [channel]).filter((name) => client.subscriptions.end(name) !== undefined);
  for (const name of ended) client.pushUnsubscribe(name, { code, reason });
  return ended.length > 0;
}

function refresh(client: RegisteredClient, { expired, expireAt, info }: RefreshQuestion): boolean {
  if (expired) client.closeWith(DISCONNECTS.expired);
  else client.renewed({ expireAt, info: info && bufferOf(info) });
  return true;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
