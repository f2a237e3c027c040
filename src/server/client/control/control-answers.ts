/** Answers the control questions of the HTTP API for the clients of one shard. `ClientServer` asks it. */
import { compileGlob } from "../../channels/glob.ts";
import type { RegisteredClient } from "../client-registry.ts";
import { type Change, type ControlledShard, changeClient } from "./client-changes.ts";
import type { ChangeQuestion, ClientDescription, ClientSelection, ControlAnswer, ControlQuestion } from "./control.ts";
import { DistinctCount } from "./distinct-count.ts";

/** Bytes of one answer about connections or channels, about. An answer to another node must fit into 1 MiB. */
const MAX_ANSWER_BYTES = 512 * 1024;
/** Bytes of a description without what the client gave. */
const DESCRIPTION_BYTES = 300;
/** Number of channels in a description. */
const MAX_DESCRIBED_CHANNELS = 128;
/** Bytes of a channel in an answer, without its name. */
const CHANNEL_BYTES = 20;

export async function answerControl(server: ControlledShard, question: ControlQuestion): Promise<ControlAnswer> {
  const { registry } = server;
  switch (question.kind) {
    case "disconnect":
    case "unsubscribe":
    case "subscribe":
    case "refresh":
      return change(server, question);
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
      const found = selected(registry.values(), question)
        .filter(({ clientId }) => clientId > after)
        .sort((one, other) => (one.clientId < other.clientId ? -1 : 1));
      const clients = fitting(found.slice(0, limit).map(describe));
      return { kind: "connections", clients, hasMore: clients.length < found.length };
    }
  }
}

function selected(clients: Iterable<RegisteredClient>, { user, client, session }: ClientSelection): RegisteredClient[] {
  return [...clients].filter(
    (each) =>
      (user === undefined || user === each.user) &&
      (client === undefined || client === each.clientId) &&
      (session === undefined || session === each.emulatedSession),
  );
}

/**
 * Changes clients. Those that are on their way to another shard are changed there, and aren't counted: the other shard
 * may have counted them.
 */
async function change(server: ControlledShard, question: ChangeQuestion): Promise<ControlAnswer> {
  const { registry } = server;
  const kept = new Set(question.kind === "disconnect" ? question.whitelist : []);
  const concerned = (clients: Iterable<RegisteredClient>): RegisteredClient[] =>
    selected(clients, question).filter(({ clientId }) => !kept.has(clientId));
  const leaving = concerned(registry.leaving());
  for (const client of leaving) client.forward(question);
  const changes = concerned(registry.values()).map((client) => changeClient(server, client, question));
  // The answer doesn't wait until the closed clients are gone, which may take a while.
  if (question.kind === "disconnect") return { kind: "disconnect", clients: changes.length };
  const outcomes = await Promise.all(changes);
  const count = (kind: Change["kind"]): number => outcomes.filter((one) => one.kind === kind).length;
  const refused = outcomes.find((one) => one.kind === "refused")?.error;
  const found = leaving.length + outcomes.length - count("gone");
  return { kind: question.kind, clients: count("changed"), found, refused };
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
