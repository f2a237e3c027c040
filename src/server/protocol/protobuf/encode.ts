/** Writes replies and pushes as Protobuf. Each function writes its fields from the highest number to the lowest. */
import type {
  ClientInfo,
  ConnectResult,
  Publication,
  Push,
  RefreshResult,
  Reply,
  SubscribeResult,
} from "../messages.ts";
import {
  CLIENT_INFO,
  CONNECT_RESULT,
  DISCONNECT_PUSH,
  ENTRY,
  ERROR,
  HISTORY_RESULT,
  INFO_PUSH,
  MESSAGE_PUSH,
  PRESENCE_RESULT,
  PRESENCE_STATS_RESULT,
  PUBLICATION,
  PUSH,
  REFRESH_PUSH,
  REFRESH_RESULT,
  REPLY,
  RPC_RESULT,
  SUB_REFRESH_RESULT,
  SUBSCRIBE_PUSH,
  SUBSCRIBE_RESULT,
  UNSUBSCRIBE_PUSH,
} from "./fields.ts";
import { ProtobufWriter } from "./writer.ts";

/** The writer of this thread. Each encoding begins and ends within one call. */
const writer = new ProtobufWriter();

/** Encodes a reply with its length before it. */
export function encodeReply(reply: Reply): Buffer {
  writeResult(writer, reply);
  writer.endMessage(REPLY[reply.kind], 0);
  writer.number(REPLY.id, reply.id);
  writer.varint(writer.written);
  return writer.finish();
}

/** Encodes a push, in a reply without an id, with its length before it. */
export function encodePush(push: Push): Buffer {
  writePush(writer, push);
  writer.endMessage(PUSH[push.kind], 0);
  if ("id" in push && push.id !== undefined) writer.number(PUSH.id, push.id);
  else if ("channel" in push) writer.text(PUSH.channel, push.channel);
  writer.endMessage(REPLY.push, 0);
  writer.varint(writer.written);
  return writer.finish();
}

/** Encodes a publication alone, without a length. */
export function encodePublication(publication: Publication): Buffer {
  writePublication(writer, publication);
  return writer.finish();
}

function writeResult(to: ProtobufWriter, reply: Reply): void {
  switch (reply.kind) {
    case "error":
      to.flag(ERROR.temporary, reply.error.temporary);
      to.text(ERROR.message, reply.error.message);
      to.number(ERROR.code, reply.error.code);
      return;
    case "connect":
      writeConnect(to, reply.result);
      return;
    case "subscribe":
      writeSubscribe(to, reply.result);
      return;
    case "unsubscribe":
    case "publish":
      return;
    case "presence":
      writeMap(to, PRESENCE_RESULT.presence, reply.result.presence, writeInfoEntry);
      return;
    case "presence_stats":
      to.number(PRESENCE_STATS_RESULT.num_users, reply.result.num_users);
      to.number(PRESENCE_STATS_RESULT.num_clients, reply.result.num_clients);
      return;
    case "history":
      to.number(HISTORY_RESULT.offset, reply.result.offset);
      to.text(HISTORY_RESULT.epoch, reply.result.epoch);
      writePublications(to, HISTORY_RESULT.publications, reply.result.publications);
      return;
    case "rpc":
      to.bytes(RPC_RESULT.data, reply.result.data);
      return;
    case "refresh":
      writeRefresh(to, reply.result);
      return;
    case "sub_refresh":
      to.number(SUB_REFRESH_RESULT.ttl, reply.result.ttl);
      to.flag(SUB_REFRESH_RESULT.expires, reply.result.expires);
      return;
  }
}

function writeConnect(to: ProtobufWriter, result: ConnectResult): void {
  to.number(CONNECT_RESULT.time, result.time);
  to.text(CONNECT_RESULT.node, result.node);
  to.text(CONNECT_RESULT.session, result.session);
  to.flag(CONNECT_RESULT.pong, result.pong);
  to.number(CONNECT_RESULT.ping, result.ping);
  if (result.subs !== undefined) writeMap(to, CONNECT_RESULT.subs, result.subs, writeSubscribeEntry);
  to.bytes(CONNECT_RESULT.data, result.data);
  to.number(CONNECT_RESULT.ttl, result.ttl);
  to.flag(CONNECT_RESULT.expires, result.expires);
  to.text(CONNECT_RESULT.version, result.version);
  to.text(CONNECT_RESULT.client, result.client);
}

function writeSubscribe(to: ProtobufWriter, result: SubscribeResult): void {
  to.number(SUBSCRIBE_RESULT.id, result.id);
  to.flag(SUBSCRIBE_RESULT.delta, result.delta);
  to.flag(SUBSCRIBE_RESULT.was_recovering, result.was_recovering);
  to.bytes(SUBSCRIBE_RESULT.data, result.data);
  to.flag(SUBSCRIBE_RESULT.positioned, result.positioned);
  to.number(SUBSCRIBE_RESULT.offset, result.offset);
  to.flag(SUBSCRIBE_RESULT.recovered, result.recovered);
  if (result.publications !== undefined) {
    writePublications(to, SUBSCRIBE_RESULT.publications, result.publications);
  }
  to.text(SUBSCRIBE_RESULT.epoch, result.epoch);
  to.flag(SUBSCRIBE_RESULT.recoverable, result.recoverable);
  to.number(SUBSCRIBE_RESULT.ttl, result.ttl);
  to.flag(SUBSCRIBE_RESULT.expires, result.expires);
}

function writeRefresh(to: ProtobufWriter, { client, version, expires, ttl }: RefreshResult): void {
  to.number(REFRESH_RESULT.ttl, ttl);
  to.flag(REFRESH_RESULT.expires, expires);
  to.text(REFRESH_RESULT.version, version);
  to.text(REFRESH_RESULT.client, client);
}

function writeInfo(to: ProtobufWriter, { user, client, conn_info, chan_info }: ClientInfo): void {
  to.bytes(CLIENT_INFO.chan_info, chan_info);
  to.bytes(CLIENT_INFO.conn_info, conn_info);
  to.text(CLIENT_INFO.client, client);
  to.text(CLIENT_INFO.user, user);
}

function writePublication(to: ProtobufWriter, publication: Publication): void {
  const { data, info, offset, tags, delta, time, channel } = publication;
  to.text(PUBLICATION.channel, channel);
  to.number(PUBLICATION.time, time);
  to.flag(PUBLICATION.delta, delta);
  if (tags !== undefined) writeMap(to, PUBLICATION.tags, tags, writeTextEntry);
  to.number(PUBLICATION.offset, offset);
  if (info !== undefined) {
    const before = to.written;
    writeInfo(to, info);
    to.endMessage(PUBLICATION.info, before);
  }
  to.bytes(PUBLICATION.data, data);
}

function writePublications(to: ProtobufWriter, field: number, publications: readonly Publication[]): void {
  for (let index = publications.length - 1; index >= 0; index--) {
    const before = to.written;
    writePublication(to, publications[index] as Publication);
    to.endMessage(field, before);
  }
}

function writeMap<Value>(
  to: ProtobufWriter,
  field: number,
  values: Readonly<Record<string, Value>>,
  writeValue: (to: ProtobufWriter, value: Value) => void,
): void {
  for (const key of Object.keys(values).reverse()) {
    const before = to.written;
    writeValue(to, values[key] as Value);
    to.textOrEmpty(ENTRY.key, key);
    to.endMessage(field, before);
  }
}

function writeTextEntry(to: ProtobufWriter, value: string): void {
  to.textOrEmpty(ENTRY.value, value);
}

function writeInfoEntry(to: ProtobufWriter, info: ClientInfo): void {
  const before = to.written;
  writeInfo(to, info);
  to.endMessage(ENTRY.value, before);
}

function writeSubscribeEntry(to: ProtobufWriter, result: SubscribeResult): void {
  const before = to.written;
  writeSubscribe(to, result);
  to.endMessage(ENTRY.value, before);
}

function writePush(to: ProtobufWriter, push: Push): void {
  switch (push.kind) {
    case "pub":
      writePublication(to, push.pub);
      return;
    case "join":
    case "leave":
      writeInfo(to, push.info);
      to.endMessage(INFO_PUSH.info, 0);
      return;
    case "unsubscribe":
      to.text(UNSUBSCRIBE_PUSH.reason, push.reason);
      to.number(UNSUBSCRIBE_PUSH.code, push.code);
      return;
    case "subscribe": {
      const { recoverable, epoch, offset, positioned, data } = push.result;
      to.bytes(SUBSCRIBE_PUSH.data, data);
      to.flag(SUBSCRIBE_PUSH.positioned, positioned);
      to.number(SUBSCRIBE_PUSH.offset, offset);
      to.text(SUBSCRIBE_PUSH.epoch, epoch);
      to.flag(SUBSCRIBE_PUSH.recoverable, recoverable);
      return;
    }
    case "message":
      to.bytes(MESSAGE_PUSH.data, push.data);
      return;
    case "disconnect":
      to.flag(DISCONNECT_PUSH.reconnect, push.reconnect);
      to.text(DISCONNECT_PUSH.reason, push.reason);
      to.number(DISCONNECT_PUSH.code, push.code);
      return;
    case "refresh":
      to.number(REFRESH_PUSH.ttl, push.ttl);
      to.flag(REFRESH_PUSH.expires, push.expires);
      return;
  }
}
