/** The methods `presence`, `presence_stats`, `history` and `history_remove`. */
import type { HistoryPage } from "../../runtime/streams/topic-memory.ts";
import { hasHistory } from "../channels/channel-options.ts";
import { isJson } from "../protocol/json/validate.ts";
import type { ClientInfo } from "../protocol/messages.ts";
import { decodeStored } from "../protocol/stored-publication.ts";
import { notAvailable } from "./api-error.ts";
import type { ApiContext } from "./board.ts";
import { optionsOf } from "./known-channel.ts";
import type { RequestFields } from "./request-fields.ts";

/** Number of publications of one answer at most. */
const MAX_PUBLICATIONS = 10_000;
/** Number of publications that the board gives at a time. */
const PAGE = 1_000;
const MAX_OFFSET = Number.MAX_SAFE_INTEGER;
const MAX_LIMIT = 2 ** 31 - 1;

type Since = NonNullable<Parameters<ApiContext["board"]["history"]>[1]>["since"];

export async function presence(fields: RequestFields, { board, channels, clientInfoOf }: ApiContext): Promise<string> {
  const channel = fields.needed("channel");
  if (!optionsOf(channels, channel).presence) throw notAvailable();
  const members = await board.presence(channel);
  const infos = members.map(clientInfoOf).filter((info) => info !== undefined);
  const shown = infos.map((info) => `${JSON.stringify(info.client)}:${infoText(info)}`);
  return `{"presence":{${shown.join()}}}`;
}

export async function presenceStats(fields: RequestFields, { board, channels }: ApiContext): Promise<string> {
  const channel = fields.needed("channel");
  if (!optionsOf(channels, channel).presence) throw notAvailable();
  const { connections, users } = await board.presenceStats(channel);
  return `{"num_clients":${connections},"num_users":${users}}`;
}

export async function history(fields: RequestFields, { board, channels }: ApiContext): Promise<string> {
  const channel = fields.needed("channel");
  const asked = fields.integer("limit", -1, MAX_LIMIT);
  const reverse = fields.flag("reverse");
  const from = fields.object("since");
  let since: Since = from && { offset: from.integer("offset", 0, MAX_OFFSET), epoch: from.text("epoch") };
  if (!hasHistory(optionsOf(channels, channel))) throw notAvailable();
  // -1 means all.
  let left = asked < 0 ? MAX_PUBLICATIONS : Math.min(asked, MAX_PUBLICATIONS);
  const texts: string[] = [];
  for (;;) {
    const limit = Math.min(left, PAGE);
    const page: HistoryPage = await board.history(channel, { since, limit, reverse });
    for (const { offset, message } of page.publications) {
      texts.push(publicationText(offset, message.type, message.bytes));
    }
    left -= page.publications.length;
    const last = page.publications.at(-1);
    if (left === 0 || last === undefined || page.publications.length < limit) {
      const { epoch, offset } = page.top;
      return `{"publications":[${texts.join()}],"epoch":${JSON.stringify(epoch)},"offset":${offset}}`;
    }
    since = { epoch: page.top.epoch, offset: last.offset };
  }
}

export async function historyRemove(fields: RequestFields, { board, channels }: ApiContext): Promise<string> {
  const channel = fields.needed("channel");
  if (!hasHistory(optionsOf(channels, channel))) throw notAvailable();
  await board.removeHistory(channel);
  return "{}";
}

function publicationText(offset: number, type: "text" | "binary", bytes: Buffer): string {
  const { data, info, tags, time, isJson: hasJson } = decodeStored({ type, bytes });
  // Centrifugo has no form for data that isn't JSON: it would make the whole answer malformed.
  const payload = hasJson ? `"data":${data.toString()}` : `"b64data":"${data.toString("base64")}"`;
  return `{${payload},"offset":${offset}${member("info", info && infoText(info))}${member(
    "tags",
    tags && JSON.stringify(tags),
  )}${member("time", time ? String(time) : undefined)}}`;
}

function infoText({ user, client, conn_info, chan_info }: ClientInfo): string {
  const names = `"user":${JSON.stringify(user)},"client":${JSON.stringify(client)}`;
  return `{${names}${member("conn_info", jsonOf(conn_info))}${member("chan_info", jsonOf(chan_info))}}`;
}

/** Returns info as JSON text; bytes that aren't JSON as a string in Base64. */
function jsonOf(info: Buffer | undefined): string | undefined {
  if (info === undefined || info.length === 0) return undefined;
  return isJson(info) ? info.toString() : `"${info.toString("base64")}"`;
}

function member(key: string, text: string | undefined): string {
  return text === undefined ? "" : `,"${key}":${text}`;
}
