/** Reads a publication as Protobuf, as stored publications hold it. */
import { EMPTY } from "../../../wire/protocol/empty.ts";
import type { ClientInfo, Publication } from "../messages.ts";
import { CLIENT_INFO, PUBLICATION } from "./fields.ts";
import { readTextEntry } from "./map-entry.ts";
import { ProtobufReader } from "./reader.ts";

/** Reads the publication in `bytes` from `start` on; undefined if it is malformed. `data` is a view. */
export function decodePublication(bytes: Buffer, start: number): Publication | undefined {
  const reader = new ProtobufReader(bytes, start);
  const end = bytes.length;
  let data: Buffer | undefined;
  let info: ClientInfo | undefined;
  let offset: number | undefined;
  let tags: Record<string, string> | undefined;
  let delta = false;
  let time: number | undefined;
  let channel: string | undefined;
  while (reader.more(end)) {
    const field = reader.field();
    if (field === PUBLICATION.data) data = reader.bytes(end);
    else if (field === PUBLICATION.info) info = readInfo(reader, end);
    else if (field === PUBLICATION.offset) offset = reader.offset();
    else if (field === PUBLICATION.tags) tags = readTextEntry(reader, end, tags);
    else if (field === PUBLICATION.delta) delta = reader.flag();
    else if (field === PUBLICATION.time) time = reader.int64();
    else if (field === PUBLICATION.channel) channel = reader.text(end);
    else reader.skip(end);
  }
  if (reader.failed) return undefined;
  return { data: data ?? EMPTY, info, offset, tags, delta: delta || undefined, time, channel };
}

function readInfo(reader: ProtobufReader, end: number): ClientInfo {
  const infoEnd = reader.message(end);
  let user = "";
  let client = "";
  let conn_info: Buffer | undefined;
  let chan_info: Buffer | undefined;
  while (reader.more(infoEnd)) {
    const field = reader.field();
    if (field === CLIENT_INFO.user) user = reader.text(infoEnd);
    else if (field === CLIENT_INFO.client) client = reader.text(infoEnd);
    else if (field === CLIENT_INFO.conn_info) conn_info = reader.bytes(infoEnd);
    else if (field === CLIENT_INFO.chan_info) chan_info = reader.bytes(infoEnd);
    else reader.skip(infoEnd);
  }
  return { user, client, conn_info, chan_info };
}
