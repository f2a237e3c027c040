/**
 * The messages of Centrifuge's client protocol, as both codecs read and write them. Field names are those of the
 * protocol. Payloads (`data`, `info`) are bytes: with JSON clients the text of a JSON value, unparsed, so that numbers
 * arrive as they were sent.
 *
 * Source: centrifugal/protocol, definitions/client.proto.
 */
import type { Message } from "../../wire/protocol/message.ts";

/** Facts about a connection, as presence, joins, leaves and publications of clients tell them. */
export interface ClientInfo {
  readonly user: string;
  readonly client: string;
  readonly conn_info?: Buffer | undefined;
  readonly chan_info?: Buffer | undefined;
}

export interface Publication {
  readonly data: Buffer;
  /** The client that published; undefined for publishes over the API. */
  readonly info?: ClientInfo | undefined;
  readonly offset?: number | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  /** True if `data` is a Fossil delta against the publication before. */
  readonly delta?: boolean | undefined;
  /** Time of the publish, in ms since 1970. */
  readonly time?: number | undefined;
  /** Channel, where it differs from that of the subscription. */
  readonly channel?: string | undefined;
}

export interface StreamPosition {
  readonly offset: number;
  readonly epoch: string;
}

/** Condition on the tags of publications. */
export interface FilterNode {
  /** "" for a comparison, "and", "or", "not" for nodes. */
  readonly op: string;
  readonly key: string;
  /** Comparison: "eq", "neq", "in", "nin", "ex", "nex", "sw", "ew", "ct", "lt", "lte", "gt", "gte". */
  readonly cmp: string;
  readonly val: string;
  readonly vals: readonly string[];
  readonly nodes: readonly FilterNode[];
}

// ── commands ─────────────────────────────────────────────────────────────────────────────────────────────

export interface SubscribeRequest {
  readonly channel: string;
  readonly token: string;
  readonly data?: Buffer | undefined;
  readonly recover: boolean;
  readonly epoch: string;
  readonly offset: number;
  readonly positioned: boolean;
  readonly recoverable: boolean;
  readonly join_leave: boolean;
  /** Name of a delta format, or "". */
  readonly delta: string;
  readonly tf?: FilterNode | undefined;
  /** Bits of `SUBSCRIBE_FLAGS`; unknown bits are kept. */
  readonly flag: number;
  /** 0: a stream. Others (maps, shared polls) aren't supported. */
  readonly type: number;
}

/** Bits of `SubscribeRequest.flag`. */
export const SUBSCRIBE_FLAGS = {
  /** The client takes numeric channel ids in pushes. */
  compaction: 1,
  /** The client wants error 112 if the position can't be recovered. */
  rejectUnrecovered: 2,
} as const;

export interface ConnectRequest {
  readonly token: string;
  readonly data?: Buffer | undefined;
  readonly name: string;
  readonly version: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Server-side subscriptions that the client had, by channel. */
  readonly subs: Readonly<Record<string, Pick<SubscribeRequest, "recover" | "epoch" | "offset">>>;
}

export interface HistoryRequest {
  readonly channel: string;
  /** 0: only the position; -1: all, up to the cap. */
  readonly limit: number;
  readonly since?: StreamPosition | undefined;
  readonly reverse: boolean;
}

export interface PublishRequest {
  readonly channel: string;
  /** Empty if the client sent none. */
  readonly data: Buffer;
  /** 0: a publication of a stream. Others (maps) aren't supported. */
  readonly type: number;
}

export interface SubRefreshRequest {
  readonly channel: string;
  readonly token: string;
  /** 0: a refresh. Others (tracked keys) aren't supported. */
  readonly type: number;
}

/** One command of a client. `id` is 0 for `send` and for a pong. */
export type Command = { readonly id: number } & (
  | { readonly kind: "connect"; readonly request: ConnectRequest }
  | { readonly kind: "subscribe"; readonly request: SubscribeRequest }
  | { readonly kind: "unsubscribe"; readonly request: { readonly channel: string } }
  | { readonly kind: "publish"; readonly request: PublishRequest }
  | { readonly kind: "presence"; readonly request: { readonly channel: string } }
  | { readonly kind: "presence_stats"; readonly request: { readonly channel: string } }
  | { readonly kind: "history"; readonly request: HistoryRequest }
  | { readonly kind: "rpc"; readonly request: { readonly method: string; readonly data?: Buffer | undefined } }
  | { readonly kind: "send"; readonly request: { readonly data?: Buffer | undefined } }
  | { readonly kind: "refresh"; readonly request: { readonly token: string } }
  | { readonly kind: "sub_refresh"; readonly request: SubRefreshRequest }
  /** The empty command: the answer to a ping. */
  | { readonly kind: "pong" }
  /** The `ping` of the schema, which no client sends. */
  | { readonly kind: "ping" }
  /** A command with an id, but without a request that this server knows. */
  | { readonly kind: "unknown" }
);

/** The body of a request that carries the commands of a client without WebSockets to the actor of its stream. */
export interface EmulationRequest {
  readonly node: string;
  readonly session: string;
  /** The commands, for `Codec.decode`. */
  readonly data: Buffer;
}

// ── replies ──────────────────────────────────────────────────────────────────────────────────────────────

export interface SubscribeResult {
  readonly expires?: boolean | undefined;
  /** Seconds until the subscription expires. */
  readonly ttl?: number | undefined;
  readonly recoverable?: boolean | undefined;
  readonly positioned?: boolean | undefined;
  readonly epoch?: string | undefined;
  readonly offset?: number | undefined;
  readonly recovered?: boolean | undefined;
  readonly was_recovering?: boolean | undefined;
  readonly publications?: readonly Publication[] | undefined;
  readonly data?: Buffer | undefined;
  readonly delta?: boolean | undefined;
  /** Channel id for pushes, if compaction was agreed. */
  readonly id?: number | undefined;
}

export interface ConnectResult {
  readonly client: string;
  readonly version: string;
  readonly data?: Buffer | undefined;
  readonly expires?: boolean | undefined;
  /** Seconds until the connection expires. */
  readonly ttl?: number | undefined;
  readonly subs?: Readonly<Record<string, SubscribeResult>> | undefined;
  /** Interval of the server's pings in seconds. */
  readonly ping?: number | undefined;
  /** True if the server wants pongs. */
  readonly pong?: boolean | undefined;
  readonly session?: string | undefined;
  readonly node?: string | undefined;
  /** Time of the server, in ms since 1970. */
  readonly time?: number | undefined;
}

export interface RefreshResult {
  readonly client?: string | undefined;
  readonly version?: string | undefined;
  readonly expires?: boolean | undefined;
  readonly ttl?: number | undefined;
}

export interface ProtocolError {
  readonly code: number;
  readonly message: string;
  readonly temporary?: boolean | undefined;
}

/** The answer to a command. */
export type Reply = { readonly id: number } & (
  | { readonly kind: "error"; readonly error: ProtocolError }
  | { readonly kind: "connect"; readonly result: ConnectResult }
  | { readonly kind: "subscribe"; readonly result: SubscribeResult }
  | { readonly kind: "unsubscribe" | "publish" }
  | { readonly kind: "presence"; readonly result: { readonly presence: Readonly<Record<string, ClientInfo>> } }
  | { readonly kind: "presence_stats"; readonly result: { readonly num_clients: number; readonly num_users: number } }
  | {
      readonly kind: "history";
      readonly result: StreamPosition & { readonly publications: readonly Publication[] };
    }
  | { readonly kind: "rpc"; readonly result: { readonly data?: Buffer | undefined } }
  | { readonly kind: "refresh" | "sub_refresh"; readonly result: RefreshResult }
);

/** The channel of a push, or its id in place of the name if compaction was agreed. */
export interface PushTarget {
  readonly channel: string;
  /** Id that the reply to `subscribe` gave. Clients know it in pushes of publications, joins and leaves alone. */
  readonly id?: number | undefined;
}

/** A message without a command. `channel` is missing where the push concerns the connection. */
export type Push =
  | (PushTarget & { readonly kind: "pub"; readonly pub: Publication })
  | (PushTarget & { readonly kind: "join" | "leave"; readonly info: ClientInfo })
  | { readonly kind: "unsubscribe"; readonly channel: string; readonly code: number; readonly reason: string }
  | { readonly kind: "subscribe"; readonly channel: string; readonly result: SubscribeResult }
  | { readonly kind: "message"; readonly data: Buffer }
  | { readonly kind: "disconnect"; readonly code: number; readonly reason: string; readonly reconnect: boolean }
  | { readonly kind: "refresh"; readonly expires: boolean; readonly ttl: number };

/**
 * One reply or push, encoded and framed. A string is the text of one line of JSON; a buffer is a Protobuf message with
 * its length before it. `send` of an actor takes both: a string leaves as a text frame, a buffer as a binary frame.
 */
export type Encoded = string | Buffer;

/** A message as topics keep it. The `Message` of an actor has these properties. */
export interface StoredMessage {
  readonly type: "text" | "binary";
  /** The payload. Never written to. */
  readonly bytes: Buffer;
}

/** A publication as a push, ready to be sent; or the fact that a client of this codec can't get the publication. */
export type PublicationPush =
  | { readonly kind: "push"; readonly push: Message }
  /** The data isn't JSON, and the client speaks JSON: the client is closed with 3506. */
  | { readonly kind: "not-json" };

/** One way to write the protocol: JSON or Protobuf. */
export interface Codec {
  readonly name: "json" | "protobuf";
  /**
   * Reads one WebSocket message, or the body of one request. Returns undefined if any part of the message is malformed
   * or over a limit of `limits.ts`: the client is then closed with 3501. Payloads are views of `payload`: copy a
   * payload that is kept for long.
   */
  decode(payload: Buffer): Command[] | undefined;
  /** Reads the body of an emulation request; undefined if the body is malformed. Doesn't read the commands in it. */
  decodeEmulation(body: Buffer): EmulationRequest | undefined;
  /** Returns whether the codec can carry the payloads of a reply: JSON can't carry binary ones. */
  canEncodeReply(reply: Reply): boolean;
  /** The same for a push; publications have a check of their own. */
  canEncodePush(push: Push): boolean;
  encodeReply(reply: Reply): Encoded;
  encodePush(push: Push): Encoded;
  /** The ping of the server: an empty reply. */
  readonly ping: Encoded;
  /** Puts replies and pushes of this codec into one WebSocket message. The array must not be empty. */
  join(parts: readonly Encoded[]): Encoded;
  /**
   * Encodes the push of a stored publication by splicing bytes: the payload is neither parsed nor encoded again.
   *
   * @param target the channel, or its id if compaction was agreed
   * @param offset offset in the stream; undefined on channels without history
   */
  encodePublication(stored: StoredMessage, target: string | number, offset: number | undefined): PublicationPush;
}
