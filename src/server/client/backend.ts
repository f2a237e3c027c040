/**
 * The port through which the application decides about clients. `hooks` implements it over HTTP; a program of one's own
 * implements it in its subclass of the client's actor.
 */
import type { SubscriptionOverride } from "../channels/subscription-rights.ts";
import type { ClientInfo } from "../protocol/messages.ts";

/** Facts about the client that go with every question. */
export interface ClientFacts {
  readonly client: string;
  readonly transport: "websocket" | "sse" | "http_stream";
  readonly encoding: "json" | "binary";
  /** User id; "" for an anonymous client, and before the answer to `connect`. */
  readonly user: string;
  /** Data for the server's own use, from the answer to `connect` or from the token. JSON text. */
  readonly meta?: Buffer | undefined;
  /** Headers of the client's request, and its address. Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly remoteAddress: string;
  /** Headers that the client itself gave in `connect.headers`: not to be trusted. */
  readonly emulatedHeaders: Readonly<Record<string, string>>;
}

/** An answer: a decision, an error for the client (400 to 1999), or its end (4000 to 4999). */
export type Answer<Result> =
  | { readonly kind: "result"; readonly result: Result }
  | { readonly kind: "error"; readonly code: number; readonly message: string; readonly temporary?: boolean }
  | { readonly kind: "disconnect"; readonly code: number; readonly reason: string };

export interface SubscriptionGrant {
  /** Shown to others as `chan_info`. */
  readonly info?: Buffer | undefined;
  readonly data?: Buffer | undefined;
  /** Unix time in seconds at which the subscription expires. Default: never. */
  readonly expireAt?: number | undefined;
  readonly override?: SubscriptionOverride | undefined;
}

export interface ConnectionGrant {
  /** User id; "" is anonymous. */
  readonly user: string;
  /** Unix time in seconds at which the connection expires. Default: never. */
  readonly expireAt?: number | undefined;
  /** Shown to others as `conn_info`. */
  readonly info?: Buffer | undefined;
  /** Data for the client. */
  readonly data?: Buffer | undefined;
  /** Kept by the server, given to the application with each question. */
  readonly meta?: Buffer | undefined;
  /** Server-side subscriptions. */
  readonly subs?: Readonly<Record<string, SubscriptionGrant>> | undefined;
}

/** Answer to the question whether something that expires goes on. */
export interface Renewal {
  /** True: it ends now. */
  readonly expired?: boolean | undefined;
  /** Unix time in seconds of the next expiry. Default: never. */
  readonly expireAt?: number | undefined;
  readonly info?: Buffer | undefined;
  readonly meta?: Buffer | undefined;
}

export interface PublishGrant {
  /** Data that takes the place of the client's. */
  readonly data?: Buffer | undefined;
  readonly skipHistory?: boolean | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly delta?: boolean | undefined;
}

export interface ConnectQuestion {
  readonly facts: ClientFacts;
  readonly name: string;
  readonly version: string;
  readonly data?: Buffer | undefined;
  /** Channels of server-side subscriptions that the client had. */
  readonly channels: readonly string[];
}

export interface SubscribeQuestion {
  readonly facts: ClientFacts;
  readonly channel: string;
  readonly token: string;
  readonly data?: Buffer | undefined;
}

export interface PublishQuestion {
  readonly facts: ClientFacts;
  readonly channel: string;
  readonly data: Buffer;
}

export interface RpcQuestion {
  readonly facts: ClientFacts;
  readonly method: string;
  readonly data?: Buffer | undefined;
}

/** The questions that the application answers. One that is missing is never asked: the rules of channels decide. */
export interface Backend {
  /** A client without a token wants to connect. */
  connect?(question: ConnectQuestion): Promise<Answer<ConnectionGrant>>;
  /** A connection expires. */
  refresh?(facts: ClientFacts): Promise<Answer<Renewal>>;
  subscribe?(question: SubscribeQuestion): Promise<Answer<SubscriptionGrant>>;
  publish?(question: PublishQuestion): Promise<Answer<PublishGrant>>;
  /** A subscription expires. */
  subRefresh?(facts: ClientFacts, channel: string): Promise<Answer<Renewal>>;
  rpc?(question: RpcQuestion): Promise<Answer<{ readonly data?: Buffer | undefined }>>;
  /** A client has gone. Never waited for. */
  disconnected?(facts: ClientFacts, code: number, reason: string): void;
  /**
   * A client subscribed to a channel in cache mode, and nothing is there. Resolves when the application has seen it.
   */
  cacheMissed?(facts: ClientFacts, channel: string): Promise<void>;
}

export type { ClientInfo, SubscriptionOverride };
