/** Answers the control questions of the HTTP API for the clients of one shard. `ClientServer` asks it. */

import { compileGlob } from "../channels/glob.ts";
import { DISCONNECTS } from "../protocol/codes.ts";
import type { ClientRegistry, RegisteredClient } from "./client-registry.ts";
import type { ClientDescription, ControlAnswer, ControlQuestion } from "./control.ts";
import { DistinctCount } from "./distinct-count.ts";

/** Bytes of one answer about connections, about. An answer to another node must fit into 1 MiB. */
const MAX_ANSWER_BYTES = 512 * 1024;
/** Bytes of a description without what the client gave. */
const DESCRIPTION_BYTES = 300;

export async function answerControl(registry: ClientRegistry, question: ControlQuestion): Promise<ControlAnswer> {
  switch (question.kind) {
    case "disconnect": {
      const { code, reason, whitelist } = question;
      const kept = new Set(whitelist);
      const clients = selected(registry, question).filter((client) => !kept.has(client.describe().client));
      for (const client of clients) client.closeSoon(code === 0 ? DISCONNECTS.forceDisconnect : { code, reason });
      return { kind: "disconnect", clients: clients.length };
    }
    case "unsubscribe":
      return forEach(registry, question, (client) => client.unsubscribeSoon(question));
    case "subscribe":
      return forEach(registry, question, (client) => client.subscribeSoon(question));
    case "refresh":
      return forEach(registry, question, (client) => client.refreshSoon(question));
    case "channels": {
      // The API has checked the pattern: one that is none matches nothing.
      const matches = question.pattern === "" ? () => true : (compileGlob(question.pattern) ?? (() => false));
      const found: (readonly [string, number])[] = [];
      let isCut = false;
      for (const [channel, { clients }] of registry.channels) {
        if (!matches(channel)) continue;
        isCut = found.length === question.limit;
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
      const all = selected(registry, question).map((client) => client.describe());
      const found = all.filter(({ client }) => client > after).sort((a, b) => (a.client < b.client ? -1 : 1));
      const clients = fitting(found.slice(0, limit));
      return { kind: "connections", clients, hasMore: clients.length < found.length };
    }
  }
}

function selected(registry: ClientRegistry, question: Parameters<RegisteredClient["fits"]>[0]): RegisteredClient[] {
  return [...registry.values()].filter((client) => client.fits(question));
}

async function forEach(
  registry: ClientRegistry,
  question: Extract<ControlQuestion, { kind: "subscribe" | "unsubscribe" | "refresh" }>,
  change: (client: RegisteredClient) => Promise<boolean>,
): Promise<ControlAnswer> {
  const changed = await Promise.all(selected(registry, question).map(change));
  return { kind: question.kind, clients: changed.filter((was) => was).length };
}

/** Returns as many descriptions, from the first, as fit into one answer; at least one. */
function fitting(all: readonly ClientDescription[]): readonly ClientDescription[] {
  let bytes = 0;
  const end = all.findIndex((client, index) => {
    const { channels, info } = client;
    bytes += DESCRIPTION_BYTES + channels.reduce((sum, { length }) => sum + length, 0) + (info?.length ?? 0);
    return index > 0 && bytes > MAX_ANSWER_BYTES;
  });
  return end === -1 ? all : all.slice(0, end);
}
