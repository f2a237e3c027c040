/** Answers the control questions of the HTTP API for the clients of one shard. `ClientServer` asks it. */
import type { Channels } from "../../channels/channels.ts";
import { compileGlob } from "../../channels/glob.ts";
import { DISCONNECTS } from "../../protocol/codes.ts";
import type { ClientRegistry, RegisteredClient } from "../client-registry.ts";
import { SERVER_SIDE_BEGIN } from "../server-side.ts";
import type {
  ClientDescription,
  ClientSelection,
  ControlAnswer,
  ControlQuestion,
  RefreshQuestion,
  SubscribeClientsQuestion,
  UnsubscribeQuestion,
} from "./control.ts";
import { DistinctCount } from "./distinct-count.ts";

/** Bytes of one answer about connections or channels, about. An answer to another node must fit into 1 MiB. */
const MAX_ANSWER_BYTES = 512 * 1024;
/** Bytes of a description without what the client gave. */
const DESCRIPTION_BYTES = 300;
/** Number of channels in a description. */
const MAX_DESCRIBED_CHANNELS = 128;
/** Bytes of a channel in an answer, without its name. */
const CHANNEL_BYTES = 20;

/** The clients of a shard, and its channels. */
export interface ControlledShard {
  readonly registry: ClientRegistry;
  readonly channels: Channels;
}

export async function answerControl(server: ControlledShard, question: ControlQuestion): Promise<ControlAnswer> {
  const { registry } = server;
  switch (question.kind) {
    case "disconnect": {
      const kept = new Set(question.whitelist);
      const clients = selected(registry, question).filter(({ clientId }) => !kept.has(clientId));
      for (const client of clients) closeSoon(client, question);
      return { kind: "disconnect", clients: clients.length };
    }
    case "unsubscribe":
      return forEach(registry, question, (client) => unsubscribe(client, question));
    case "subscribe":
      return forEach(registry, question, (client) => subscribe(server, client, question));
    case "refresh":
      return forEach(registry, question, (client) => refresh(client, question));
    case "channels": {
      // The API has checked the pattern: one that is none matches nothing.
      const matches = question.pattern === "" ? () => true : (compileGlob(question.pattern) ?? (() => false));
      const found: (readonly [string, number])[] = [];
      let isCut = false;
      let bytes = 0;
      for (const [channel, { clients }] of registry.channels) {
        if (!matches(channel)) continue;
        bytes += CHANNEL_BYTES + Buffer.byteLength(channel);
        isCut = found.length === question.limit || bytes > MAX_ANSWER_BYTES;
        if (isCut) break;
        found.push([channel, clients]);
      }
      return { kind: "channels", channels: found, isCut };
    }
    case "info": {
      const [users, channels] = [new DistinctCount(), new DistinctCount()];
      for (const { user } of registry.values()) users.add(user);
      for (const channel of registry.channels.keys()) channels.add(channel);
      const { size: clients, subscriptions } = registry;
      return { kind: "info", clients, subscriptions, users: users.toBytes(), channels: channels.toBytes() };
    }
    case "connections": {
      const { after, limit } = question;
      const found = selected(registry, question)
        .filter(({ clientId }) => clientId > after)
        .sort((one, other) => (one.clientId < other.clientId ? -1 : 1));
      const clients = fitting(found.slice(0, limit).map(describe));
      return { kind: "connections", clients, hasMore: clients.length < found.length };
    }
  }
}

function selected(registry: ClientRegistry, { user, client, session }: ClientSelection): RegisteredClient[] {
  return [...registry.values()].filter(
    (each) =>
      (user === undefined || user === each.user) &&
      (client === undefined || client === each.clientId) &&
      (session === undefined || session === each.emulatedSession),
  );
}

async function forEach(
  registry: ClientRegistry,
  question: SubscribeClientsQuestion | UnsubscribeQuestion | RefreshQuestion,
  change: (client: RegisteredClient) => boolean | Promise<boolean>,
): Promise<ControlAnswer> {
  const clients = selected(registry, question);
  const channel = question.kind === "refresh" ? undefined : question.channel;
  const changed = await Promise.all(clients.map((client) => client.soon(() => change(client), channel)));
  return { kind: question.kind, clients: changed.filter((was) => was).length };
}

function closeSoon(
  client: RegisteredClient,
  { code, reason }: { readonly code: number; readonly reason: string },
): void {
  void client.soon(() => {
    client.closeWith({ code, reason });
    return true;
  });
}

async function subscribe(
  server: ControlledShard,
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

function describe(client: RegisteredClient): ClientDescription {
  const { transport, encoding, remoteAddress } = client.facts();
  const channels = Array.from(client.subscriptions.values(), ({ channel }) => channel.name);
  return {
    client: client.clientId,
    user: client.user,
    session: client.emulatedSession,
    transport,
    encoding,
    ...client.life,
    channels: channels.slice(0, MAX_DESCRIBED_CHANNELS),
    numChannels: channels.length,
    remoteAddress,
    address: client.address,
    info: client.clientInfo.conn_info,
  };
}

/** Returns as many descriptions, from the first, as fit into one answer; at least one. */
function fitting(all: readonly ClientDescription[]): readonly ClientDescription[] {
  let bytes = 0;
  const end = all.findIndex(({ channels, info }, index) => {
    bytes += DESCRIPTION_BYTES + channels.reduce((sum, { length }) => sum + length, 0) + (info?.length ?? 0);
    return index > 0 && bytes > MAX_ANSWER_BYTES;
  });
  return end === -1 ? all : all.slice(0, end);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
