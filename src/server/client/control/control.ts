/**
 * The control questions of the HTTP API, and what a shard answers. The API sends them to all shards of all nodes with
 * `board.survey`; `surveyed` of the actor module answers them. All of it crosses threads and nodes: plain data, and
 * bytes arrive as `Uint8Array`.
 */
import type { ProtocolError } from "../../protocol/messages.ts";
import type { SubscriptionOverride } from "../backend.ts";

/** The clients that a command concerns: those that match every field that is set. No field: all clients. */
export interface ClientSelection {
  /** User id; "" selects anonymous clients. */
  readonly user?: string | undefined;
  readonly client?: string | undefined;
  readonly session?: string | undefined;
}

/** Closes clients with a code and a reason. */
export interface DisconnectQuestion extends ClientSelection {
  readonly kind: "disconnect";
  /** Ids of clients that stay. */
  readonly whitelist: readonly string[];
  /** 3000 to 4999. */
  readonly code: number;
  readonly reason: string;
}

/** Ends subscriptions, with an `unsubscribe` push. */
export interface UnsubscribeQuestion extends ClientSelection {
  readonly kind: "unsubscribe";
  /** "": all channels of the clients. */
  readonly channel: string;
  readonly code: number;
  readonly reason: string;
}

/** Subscribes clients from the server, with a `subscribe` push. A client that is subscribed already stays as it is. */
export interface SubscribeClientsQuestion extends ClientSelection {
  readonly kind: "subscribe";
  readonly channel: string;
  /** Shown to others as `chan_info`. */
  readonly info?: Uint8Array | undefined;
  readonly data?: Uint8Array | undefined;
  /** Unix time in seconds at which the subscription expires. Undefined: never. */
  readonly expireAt?: number | undefined;
  readonly override?: SubscriptionOverride | undefined;
  readonly recoverSince?: { readonly offset: number; readonly epoch: string } | undefined;
}

/** Changes when connections expire, and what is known about them. */
export interface RefreshQuestion extends ClientSelection {
  readonly kind: "refresh";
  /** True: the connections end now (3005). */
  readonly expired: boolean;
  /** Unix time in seconds of the next expiry. Undefined: never. */
  readonly expireAt?: number | undefined;
  /** Takes the place of `conn_info`. Undefined: it stays. */
  readonly info?: Uint8Array | undefined;
}

/** Asks for the channels that have subscribers. */
export interface ChannelsQuestion {
  readonly kind: "channels";
  /** Glob that a channel has to match (`compileGlob`). "": all channels. */
  readonly pattern: string;
  /** Number of channels in an answer at most. */
  readonly limit: number;
}

/** Asks for the numbers of clients, users, channels and subscriptions. */
export interface InfoQuestion {
  readonly kind: "info";
}

/** Asks for clients, in the order of their ids (compared by UTF-16 units, as `<` does). */
export interface ConnectionsQuestion extends ClientSelection {
  readonly kind: "connections";
  /** Only clients whose ids are greater than this one. "": from the first one. */
  readonly after: string;
  /** Number of clients in an answer at most: those with the smallest ids. */
  readonly limit: number;
}

/** A change that the API makes to clients. */
export type ChangeQuestion = DisconnectQuestion | UnsubscribeQuestion | SubscribeClientsQuestion | RefreshQuestion;

export type ControlQuestion = ChangeQuestion | ChannelsQuestion | InfoQuestion | ConnectionsQuestion;

/** One client, as the API lists it. */
export interface ClientDescription {
  readonly client: string;
  readonly user: string;
  readonly session?: string | undefined;
  readonly transport: "websocket" | "sse" | "http_stream";
  readonly encoding: "json" | "binary";
  /** Name and version that the client gave with `connect`. */
  readonly name: string;
  readonly version: string;
  /** Channels to which the client is subscribed: at most 128 of them. */
  readonly channels: readonly string[];
  readonly numChannels: number;
  /** Unix time in ms. */
  readonly connectedAt: number;
  /** Unix time in seconds at which the connection expires. Undefined: never. */
  readonly expireAt?: number | undefined;
  readonly remoteAddress: string;
  /** Address of the client's actor. */
  readonly address: string;
  /** JSON text or bytes that others see as `conn_info`. */
  readonly info?: Uint8Array | undefined;
}

/** Answer of one shard. */
export type ControlAnswer =
  | {
      readonly kind: "disconnect" | "unsubscribe" | "subscribe" | "refresh";
      /** Number of clients that have changed. */
      readonly clients: number;
      /** Number of clients that were there, changed or not. Undefined in the answer of an older version. */
      readonly found?: number | undefined;
      /** Error of a client that couldn't be changed: the one that a command of its own would get. */
      readonly refused?: Pick<ProtocolError, "code" | "message"> | undefined;
    }
  | {
      readonly kind: "channels";
      /** Channels with their numbers of subscribers in this shard: together at most about 512 KiB. */
      readonly channels: readonly (readonly [channel: string, clients: number])[];
      /** True if there are more channels. */
      readonly isCut: boolean;
    }
  | {
      readonly kind: "info";
      readonly clients: number;
      readonly subscriptions: number;
      /** Distinct users and channels, as `DistinctCount.toBytes` of distinct-count.ts gives them. */
      readonly users: Uint8Array;
      readonly channels: Uint8Array;
    }
  | {
      readonly kind: "connections";
      /** Clients in the order of their ids. Together at most about 512 KiB: then fewer than the limit. */
      readonly clients: readonly ClientDescription[];
      /** True if clients with greater ids follow. */
      readonly hasMore: boolean;
    };
