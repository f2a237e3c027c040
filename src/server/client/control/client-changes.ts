/**
 * Changes that the HTTP API makes to one client: `control-answers.ts` asks for them, and so does a client that arrived
 * from another shard together with a question.
 */
import type { Channels } from "../../channels/channels.ts";
import { DISCONNECTS, ERRORS } from "../../protocol/codes.ts";
import type { ProtocolError } from "../../protocol/messages.ts";
import type { ClientRegistry, RegisteredClient } from "../client-registry.ts";
import { SERVER_SIDE_BEGIN } from "../server-side.ts";
import type { ChangeQuestion, RefreshQuestion, SubscribeClientsQuestion, UnsubscribeQuestion } from "./control.ts";

/** The clients of a shard, and its channels. */
export interface ControlledShard {
  readonly registry: ClientRegistry;
  readonly channels: Channels;
}

/** Outcome of a change. */
export type Change =
  | { readonly kind: "changed" }
  /** The client is as it was to become: subscribed already, for example. */
  | { readonly kind: "unchanged" }
  | { readonly kind: "refused"; readonly error: Pick<ProtocolError, "code" | "message"> }
  /** The client has ended. */
  | { readonly kind: "gone" };

const CHANGED: Change = { kind: "changed" };
const UNCHANGED: Change = { kind: "unchanged" };
const GONE: Change = { kind: "gone" };

/** Changes a client, behind its commands that are under way. */
export async function changeClient(
  server: Pick<ControlledShard, "channels">,
  client: RegisteredClient,
  question: ChangeQuestion,
): Promise<Change> {
  let change = GONE;
  const channel = "channel" in question ? question.channel : undefined;
  await client.soon(async () => {
    change = await changeNow(server, client, question);
    return true;
  }, channel);
  return change;
}

function changeNow(
  server: Pick<ControlledShard, "channels">,
  client: RegisteredClient,
  question: ChangeQuestion,
): Change | Promise<Change> {
  switch (question.kind) {
    case "disconnect":
      client.closeWith({ code: question.code, reason: question.reason });
      return CHANGED;
    case "unsubscribe":
      return unsubscribe(client, question);
    case "subscribe":
      return subscribe(server, client, question);
    case "refresh":
      return refresh(client, question);
  }
}

async function subscribe(
  server: Pick<ControlledShard, "channels">,
  client: RegisteredClient,
  { channel: name, info, data, expireAt, override, recoverSince }: SubscribeClientsQuestion,
): Promise<Change> {
  const found = server.channels.of(name);
  if (found.kind !== "known") return { kind: "refused", error: ERRORS.unknownChannel };
  if (client.subscriptions.has(name)) return UNCHANGED;
  const deliverAfter = Promise.withResolvers<void>();
  const begin =
    recoverSince === undefined ? SERVER_SIDE_BEGIN : { ...SERVER_SIDE_BEGIN, ...recoverSince, recover: true };
  const grant = { info: info && bufferOf(info), data: data && bufferOf(data), expireAt, override };
  const admission = { ...grant, isServerSide: true, byToken: false };
  try {
    const answer = await client.subscriptions.begin(found.channel, begin, admission, deliverAfter.promise);
    if (answer.kind === "error") return { kind: "refused", error: answer };
    if (answer.kind !== "result") return GONE;
    client.push({ kind: "subscribe", channel: name, result: answer.result });
    for (const pub of answer.result.publications ?? []) client.push({ kind: "pub", channel: name, pub });
    client.pushOwnJoin(name);
    return CHANGED;
  } finally {
    deliverAfter.resolve();
  }
}

function unsubscribe(client: RegisteredClient, { channel, code, reason }: UnsubscribeQuestion): Change {
  const all = Array.from(client.subscriptions.values(), (subscription) => subscription.channel.name);
  const ended = (channel === "" ? all : [channel]).filter((name) => client.subscriptions.end(name) !== undefined);
  for (const name of ended) client.pushUnsubscribe(name, { code, reason });
  return ended.length > 0 ? CHANGED : UNCHANGED;
}

function refresh(client: RegisteredClient, { expired, expireAt, info }: RefreshQuestion): Change {
  if (expired) client.closeWith(DISCONNECTS.expired);
  else client.renewed({ expireAt, info: info && bufferOf(info) });
  return CHANGED;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
