/** The commands that only read: presence, presence statistics, history. */
import { SwitchboardError } from "../../../errors.ts";
import type { Publication as StreamPublication } from "../../../runtime/streams/publication.ts";
import type { TopicMemory } from "../../../runtime/streams/topic-memory.ts";
import type { Channel } from "../../channels/channels.ts";
import { mayHistory, mayPresence, type Who } from "../../channels/permissions.ts";
import { ERRORS } from "../../protocol/codes.ts";
import type { ClientInfo, HistoryRequest, Publication, StreamPosition } from "../../protocol/messages.ts";
import { decodeStored } from "../../protocol/stored-publication.ts";
import type { Answer } from "../backend.ts";
import { clientInfoOf } from "../presence-info.ts";
import { granted, refused } from "./answers.ts";

export async function readPresence(
  memory: TopicMemory,
  channel: Channel,
  who: Who,
): Promise<Answer<{ readonly presence: Readonly<Record<string, ClientInfo>> }>> {
  const decision = mayPresence(channel, who);
  if (decision.kind === "refused") return refused(decision.error);
  const members = await memory.presence(channel.name);
  const infos = members.map(clientInfoOf).filter((info) => info !== undefined);
  return granted({ presence: Object.fromEntries(infos.map((info) => [info.client, info])) });
}

export async function readPresenceStats(
  memory: TopicMemory,
  channel: Channel,
  who: Who,
): Promise<Answer<{ readonly num_clients: number; readonly num_users: number }>> {
  const decision = mayPresence(channel, who);
  if (decision.kind === "refused") return refused(decision.error);
  const { connections, users } = await memory.presenceStats(channel.name);
  return granted({ num_clients: connections, num_users: users });
}

export async function readHistory(
  memory: TopicMemory,
  channel: Channel,
  who: Who,
  { limit, since, reverse }: HistoryRequest,
  most: number,
): Promise<Answer<StreamPosition & { readonly publications: readonly Publication[] }>> {
  // -1 means all.
  if (limit < -1) return refused(ERRORS.badRequest);
  const decision = mayHistory(channel, who);
  if (decision.kind === "refused") return refused(decision.error);
  const count = limit < 0 ? most : Math.min(limit, most);
  try {
    const { publications, top } = await memory.history(channel.name, {
      limit: count,
      reverse,
      since,
    });
    return granted({ ...top, publications: publications.map(shown) });
  } catch (error) {
    if (error instanceof SwitchboardError && error.code === "ERR_STREAM_EPOCH") {
      return refused(ERRORS.unrecoverablePosition);
    }
    throw error;
  }
}

function shown(publication: StreamPublication): Publication {
  const { data, info, tags, time } = decodeStored(publication.message);
  return { data, info, tags, time, offset: publication.offset };
}
