/** Reads commands as Protobuf: each with its length before it. The Protobuf codec uses it. */
import { EMPTY } from "../../../wire/protocol/empty.ts";
import { MAX_COMMANDS } from "../limits.ts";
import type { Command } from "../messages.ts";
import {
  CHANNEL_REQUEST,
  COMMAND,
  PUBLISH_REQUEST,
  REFRESH_REQUEST,
  RPC_REQUEST,
  SEND_REQUEST,
  SUB_REFRESH_REQUEST,
} from "./fields.ts";
import { ProtobufReader } from "./reader.ts";
import { readConnect, readHistory, readSubscribe } from "./requests.ts";

const PONG: Command = Object.freeze({ id: 0, kind: "pong" });

/** Reads the commands of one message; undefined if the message is malformed. */
export function decodeCommands(payload: Buffer): Command[] | undefined {
  if (payload.length === 0) return undefined;
  const reader = new ProtobufReader(payload);
  const commands: Command[] = [];
  while (reader.more(payload.length)) {
    if (commands.length === MAX_COMMANDS) return undefined;
    commands.push(readCommand(reader, reader.length(payload.length)));
  }
  return reader.failed ? undefined : commands;
}

function readCommand(reader: ProtobufReader, end: number): Command {
  let id = 0;
  // The request with the lowest number counts, if there are several; of several with one number, the last one.
  let field: number | undefined;
  let start = 0;
  let requestEnd = 0;
  while (reader.more(end)) {
    const number = reader.field();
    if (number === COMMAND.id) id = reader.uint32();
    else if (number < COMMAND.connect || number > COMMAND.sub_refresh) reader.skip(end);
    else {
      const valueEnd = reader.message(end);
      if (field === undefined || number <= field) {
        field = number;
        start = reader.position;
        requestEnd = valueEnd;
      }
      reader.moveTo(valueEnd);
    }
  }
  if (field === undefined) return id === 0 ? PONG : { id, kind: "unknown" };
  reader.moveTo(start);
  const command = readRequest(reader, id, field, requestEnd);
  reader.moveTo(end);
  return command;
}

function readRequest(reader: ProtobufReader, id: number, field: number, end: number): Command {
  switch (field) {
    case COMMAND.connect:
      return { id, kind: "connect", request: readConnect(reader, end) };
    case COMMAND.subscribe:
      return { id, kind: "subscribe", request: readSubscribe(reader, end) };
    case COMMAND.unsubscribe:
      return { id, kind: "unsubscribe", request: { channel: readChannel(reader, end) } };
    case COMMAND.publish:
      return readPublish(reader, id, end);
    case COMMAND.presence:
      return { id, kind: "presence", request: { channel: readChannel(reader, end) } };
    case COMMAND.presence_stats:
      return { id, kind: "presence_stats", request: { channel: readChannel(reader, end) } };
    case COMMAND.history:
      return { id, kind: "history", request: readHistory(reader, end) };
    case COMMAND.send:
      return readSend(reader, id, end);
    case COMMAND.rpc:
      return readRpc(reader, id, end);
    case COMMAND.refresh:
      return readRefresh(reader, id, end);
    case COMMAND.sub_refresh:
      return readSubRefresh(reader, id, end);
    default:
      while (reader.more(end)) {
        reader.field();
        reader.skip(end);
      }
      return { id, kind: "ping" };
  }
}

function readChannel(reader: ProtobufReader, end: number): string {
  let channel = "";
  while (reader.more(end)) {
    if (reader.field() === CHANNEL_REQUEST.channel) channel = reader.text(end);
    else reader.skip(end);
  }
  return channel;
}

function readPublish(reader: ProtobufReader, id: number, end: number): Command {
  let channel = "";
  let data: Buffer | undefined;
  let type = 0;
  while (reader.more(end)) {
    const field = reader.field();
    if (field === PUBLISH_REQUEST.channel) channel = reader.text(end);
    else if (field === PUBLISH_REQUEST.data) data = reader.bytes(end);
    else if (field === PUBLISH_REQUEST.type) type = reader.int32();
    else reader.skip(end);
  }
  return { id, kind: "publish", request: { channel, data: data ?? EMPTY, type } };
}

function readRpc(reader: ProtobufReader, id: number, end: number): Command {
  let data: Buffer | undefined;
  let method = "";
  while (reader.more(end)) {
    const field = reader.field();
    if (field === RPC_REQUEST.data) data = reader.bytes(end);
    else if (field === RPC_REQUEST.method) method = reader.text(end);
    else reader.skip(end);
  }
  return { id, kind: "rpc", request: { method, data } };
}

function readSend(reader: ProtobufReader, id: number, end: number): Command {
  let data: Buffer | undefined;
  while (reader.more(end)) {
    if (reader.field() === SEND_REQUEST.data) data = reader.bytes(end);
    else reader.skip(end);
  }
  return { id, kind: "send", request: { data } };
}

function readRefresh(reader: ProtobufReader, id: number, end: number): Command {
  let token = "";
  while (reader.more(end)) {
    if (reader.field() === REFRESH_REQUEST.token) token = reader.text(end);
    else reader.skip(end);
  }
  return { id, kind: "refresh", request: { token } };
}

function readSubRefresh(reader: ProtobufReader, id: number, end: number): Command {
  let channel = "";
  let token = "";
  let type = 0;
  while (reader.more(end)) {
    const field = reader.field();
    if (field === SUB_REFRESH_REQUEST.channel) channel = reader.text(end);
    else if (field === SUB_REFRESH_REQUEST.token) token = reader.text(end);
    else if (field === SUB_REFRESH_REQUEST.type) type = reader.int32();
    else reader.skip(end);
  }
  return { id, kind: "sub_refresh", request: { channel, token, type } };
}
