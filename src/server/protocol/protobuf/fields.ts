/**
 * Numbers of the fields that this server reads and writes, by message. The encoders and decoders use them.
 *
 * Source: centrifugal/protocol, definitions/client.proto.
 */

export const COMMAND = {
  id: 1,
  connect: 4,
  subscribe: 5,
  unsubscribe: 6,
  publish: 7,
  presence: 8,
  presence_stats: 9,
  history: 10,
  ping: 11,
  send: 12,
  rpc: 13,
  refresh: 14,
  sub_refresh: 15,
} as const;

export const REPLY = {
  id: 1,
  error: 2,
  push: 4,
  connect: 5,
  subscribe: 6,
  unsubscribe: 7,
  publish: 8,
  presence: 9,
  presence_stats: 10,
  history: 11,
  rpc: 13,
  refresh: 14,
  sub_refresh: 15,
} as const;

export const PUSH = {
  id: 1,
  channel: 2,
  pub: 4,
  join: 5,
  leave: 6,
  unsubscribe: 7,
  message: 8,
  subscribe: 9,
  disconnect: 11,
  refresh: 12,
} as const;

export const PUBLICATION = { data: 4, info: 5, offset: 6, tags: 7, delta: 8, time: 9, channel: 10 } as const;
export const CLIENT_INFO = { user: 1, client: 2, conn_info: 3, chan_info: 4 } as const;
/** Entry of any map. */
export const ENTRY = { key: 1, value: 2 } as const;

export const CONNECT_REQUEST = { token: 1, data: 2, subs: 3, name: 4, version: 5, headers: 6 } as const;
export const SUBSCRIBE_REQUEST = {
  channel: 1,
  token: 2,
  recover: 3,
  epoch: 6,
  offset: 7,
  data: 8,
  positioned: 9,
  recoverable: 10,
  join_leave: 11,
  delta: 12,
  tf: 13,
  flag: 14,
  type: 15,
} as const;
export const FILTER_NODE = { op: 1, key: 2, cmp: 3, val: 4, vals: 5, nodes: 6 } as const;
export const HISTORY_REQUEST = { channel: 1, limit: 7, since: 8, reverse: 9 } as const;
export const STREAM_POSITION = { offset: 1, epoch: 2 } as const;
/** The requests of `unsubscribe`, `presence` and `presence_stats` have a channel alone. */
export const CHANNEL_REQUEST = { channel: 1 } as const;
export const PUBLISH_REQUEST = { channel: 1, data: 2, type: 3 } as const;
export const RPC_REQUEST = { data: 1, method: 2 } as const;
export const SEND_REQUEST = { data: 1 } as const;
export const REFRESH_REQUEST = { token: 1 } as const;
export const SUB_REFRESH_REQUEST = { channel: 1, token: 2, type: 3 } as const;

export const ERROR = { code: 1, message: 2, temporary: 3 } as const;
export const CONNECT_RESULT = {
  client: 1,
  version: 2,
  expires: 3,
  ttl: 4,
  data: 5,
  subs: 6,
  ping: 7,
  pong: 8,
  session: 9,
  node: 10,
  time: 11,
} as const;
export const SUBSCRIBE_RESULT = {
  expires: 1,
  ttl: 2,
  recoverable: 3,
  epoch: 6,
  publications: 7,
  recovered: 8,
  offset: 9,
  positioned: 10,
  data: 11,
  was_recovering: 12,
  delta: 13,
  id: 14,
} as const;
export const PRESENCE_RESULT = { presence: 1 } as const;
export const PRESENCE_STATS_RESULT = { num_clients: 1, num_users: 2 } as const;
export const HISTORY_RESULT = { publications: 1, epoch: 2, offset: 3 } as const;
export const RPC_RESULT = { data: 1 } as const;
export const REFRESH_RESULT = { client: 1, version: 2, expires: 3, ttl: 4 } as const;
export const SUB_REFRESH_RESULT = { expires: 1, ttl: 2 } as const;

/** The push of a join or a leave. */
export const INFO_PUSH = { info: 1 } as const;
export const SUBSCRIBE_PUSH = { recoverable: 1, epoch: 4, offset: 5, positioned: 6, data: 7 } as const;
export const UNSUBSCRIBE_PUSH = { code: 2, reason: 3 } as const;
export const MESSAGE_PUSH = { data: 1 } as const;
export const DISCONNECT_PUSH = { code: 1, reason: 2, reconnect: 3 } as const;
export const REFRESH_PUSH = { expires: 1, ttl: 2 } as const;

export const EMULATION_REQUEST = { node: 1, session: 2, data: 3 } as const;
