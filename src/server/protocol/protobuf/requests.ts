/** Reads the larger requests: connect, subscribe with its tag filter, history. The decoder of commands uses it. */
import { MAX_FILTER_DEPTH, MAX_FILTER_NODES, MAX_FILTER_VALUES } from "../limits.ts";
import type { ConnectRequest, FilterNode, HistoryRequest, StreamPosition, SubscribeRequest } from "../messages.ts";
import { CONNECT_REQUEST, ENTRY, FILTER_NODE, HISTORY_REQUEST, STREAM_POSITION, SUBSCRIBE_REQUEST } from "./fields.ts";
import { readTextEntry } from "./map-entry.ts";
import type { ProtobufReader } from "./reader.ts";

type Recovery = ConnectRequest["subs"][string];

const NO_ENTRIES: Readonly<Record<string, never>> = Object.freeze(Object.create(null));
const NO_TEXTS: readonly string[] = Object.freeze([]);
const NO_NODES: readonly FilterNode[] = Object.freeze([]);

export function readConnect(reader: ProtobufReader, end: number): ConnectRequest {
  let token = "";
  let data: Buffer | undefined;
  let name = "";
  let version = "";
  let headers: Record<string, string> | undefined;
  let subs: Record<string, Recovery> | undefined;
  while (reader.more(end)) {
    const field = reader.field();
    if (field === CONNECT_REQUEST.token) token = reader.text(end);
    else if (field === CONNECT_REQUEST.data) data = reader.bytes(end);
    else if (field === CONNECT_REQUEST.name) name = reader.text(end);
    else if (field === CONNECT_REQUEST.version) version = reader.text(end);
    else if (field === CONNECT_REQUEST.headers) headers = readTextEntry(reader, end, headers);
    else if (field === CONNECT_REQUEST.subs) subs = readSub(reader, end, subs);
    else reader.skip(end);
  }
  return { token, data, name, version, headers: headers ?? NO_ENTRIES, subs: subs ?? NO_ENTRIES };
}

function readSub(
  reader: ProtobufReader,
  end: number,
  subs: Record<string, Recovery> = Object.create(null),
): Record<string, Recovery> {
  const entryEnd = reader.message(end);
  let key = "";
  let recovery: Recovery = { recover: false, epoch: "", offset: 0 };
  while (reader.more(entryEnd)) {
    const field = reader.field();
    if (field === ENTRY.key) key = reader.text(entryEnd);
    else if (field === ENTRY.value) {
      const { recover, epoch, offset } = readSubscribe(reader, reader.message(entryEnd));
      recovery = { recover, epoch, offset };
    } else reader.skip(entryEnd);
  }
  subs[key] = recovery;
  return subs;
}

export function readSubscribe(reader: ProtobufReader, end: number): SubscribeRequest {
  let channel = "";
  let token = "";
  let data: Buffer | undefined;
  let recover = false;
  let epoch = "";
  let offset = 0;
  let positioned = false;
  let recoverable = false;
  let join_leave = false;
  let delta = "";
  let tf: FilterNode | undefined;
  let flag = 0;
  let type = 0;
  while (reader.more(end)) {
    const field = reader.field();
    if (field === SUBSCRIBE_REQUEST.channel) channel = reader.text(end);
    else if (field === SUBSCRIBE_REQUEST.token) token = reader.text(end);
    else if (field === SUBSCRIBE_REQUEST.data) data = reader.bytes(end);
    else if (field === SUBSCRIBE_REQUEST.recover) recover = reader.flag();
    else if (field === SUBSCRIBE_REQUEST.epoch) epoch = reader.text(end);
    else if (field === SUBSCRIBE_REQUEST.offset) offset = reader.offset();
    else if (field === SUBSCRIBE_REQUEST.positioned) positioned = reader.flag();
    else if (field === SUBSCRIBE_REQUEST.recoverable) recoverable = reader.flag();
    else if (field === SUBSCRIBE_REQUEST.join_leave) join_leave = reader.flag();
    else if (field === SUBSCRIBE_REQUEST.delta) delta = reader.text(end);
    else if (field === SUBSCRIBE_REQUEST.tf) tf = readFilter(reader, end);
    else if (field === SUBSCRIBE_REQUEST.flag) flag = reader.int64();
    else if (field === SUBSCRIBE_REQUEST.type) type = reader.int32();
    else reader.skip(end);
  }
  return {
    channel,
    token,
    data,
    recover,
    epoch,
    offset,
    positioned,
    recoverable,
    join_leave,
    delta,
    tf,
    flag,
    type,
  };
}

function readFilter(reader: ProtobufReader, end: number): FilterNode {
  return readNode(reader, end, 1, { nodes: 0, values: 0 });
}

/** Reads one node. `count` is of the whole filter. */
function readNode(
  reader: ProtobufReader,
  end: number,
  depth: number,
  count: { nodes: number; values: number },
): FilterNode {
  if (depth > MAX_FILTER_DEPTH || ++count.nodes > MAX_FILTER_NODES) reader.fail();
  const nodeEnd = reader.message(end);
  let op = "";
  let key = "";
  let cmp = "";
  let val = "";
  let vals: string[] | undefined;
  let nodes: FilterNode[] | undefined;
  while (reader.more(nodeEnd)) {
    const field = reader.field();
    if (field === FILTER_NODE.op) op = reader.text(nodeEnd);
    else if (field === FILTER_NODE.key) key = reader.text(nodeEnd);
    else if (field === FILTER_NODE.cmp) cmp = reader.text(nodeEnd);
    else if (field === FILTER_NODE.val) val = reader.text(nodeEnd);
    else if (field === FILTER_NODE.vals) {
      if (++count.values > MAX_FILTER_VALUES) reader.fail();
      vals ??= [];
      vals.push(reader.text(nodeEnd));
    } else if (field === FILTER_NODE.nodes) {
      nodes ??= [];
      nodes.push(readNode(reader, nodeEnd, depth + 1, count));
    } else reader.skip(nodeEnd);
  }
  return { op, key, cmp, val, vals: vals ?? NO_TEXTS, nodes: nodes ?? NO_NODES };
}

export function readHistory(reader: ProtobufReader, end: number): HistoryRequest {
  let channel = "";
  let limit = 0;
  let since: StreamPosition | undefined;
  let reverse = false;
  while (reader.more(end)) {
    const field = reader.field();
    if (field === HISTORY_REQUEST.channel) channel = reader.text(end);
    else if (field === HISTORY_REQUEST.limit) limit = reader.int32();
    else if (field === HISTORY_REQUEST.since) since = readPosition(reader, end);
    else if (field === HISTORY_REQUEST.reverse) reverse = reader.flag();
    else reader.skip(end);
  }
  return { channel, limit, since, reverse };
}

function readPosition(reader: ProtobufReader, end: number): StreamPosition {
  const positionEnd = reader.message(end);
  let offset = 0;
  let epoch = "";
  while (reader.more(positionEnd)) {
    const field = reader.field();
    if (field === STREAM_POSITION.offset) offset = reader.offset();
    else if (field === STREAM_POSITION.epoch) epoch = reader.text(positionEnd);
    else reader.skip(positionEnd);
  }
  return { offset, epoch };
}
