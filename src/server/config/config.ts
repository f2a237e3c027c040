/**
 * The config of the server, with all defaults filled in. Times are in ms. In the file, names have underscores
 * (`http_server.port`), times are durations ("25s"), and names are those of Centrifugo where they mean the
 * same.
 */
import type { ChannelsConfig } from "../channels/channel-options.ts";

/** Keys with which the tokens of one kind are checked. "" and undefined: not set. */
export interface TokenKeys {
  readonly hmacSecretKey: string;
  readonly hmacPreviousSecretKey: string;
  /** Unix time in seconds until which the previous key counts. 0: for ever. */
  readonly hmacPreviousSecretKeyValidUntil: number;
  /** Public keys in PEM. */
  readonly rsaPublicKey: string;
  readonly ecdsaPublicKey: string;
  readonly jwksPublicEndpoint: string;
  readonly audience: string;
  readonly issuer: string;
  /** Claim with the user id. Default: "sub". */
  readonly userIdClaim: string;
}

/** One question or hook to the application over HTTP. */
export interface EndpointConfig {
  readonly enabled: boolean;
  readonly endpoint: string;
  readonly timeoutMs: number;
  /** Headers of the client's request that are passed on. */
  readonly httpHeaders: readonly string[];
  /** Headers that the client itself gave (`connect.headers`) and that are passed on. */
  readonly emulatedHeaders: readonly string[];
  /** Headers that are added to each call. */
  readonly staticHttpHeaders: Readonly<Record<string, string>>;
  readonly includeConnectionMeta: boolean;
  /** True: payloads travel as Base64 (`b64data`). */
  readonly binaryEncoding: boolean;
}

export interface ClientConfig {
  /** True: no token is needed, and everything is allowed. */
  readonly insecure: boolean;
  readonly allowedOrigins: readonly string[];
  readonly pingIntervalMs: number;
  readonly pongTimeoutMs: number;
  /** Time within which a client has to send `connect`. */
  readonly staleCloseDelayMs: number;
  readonly expiredCloseDelayMs: number;
  readonly expiredSubCloseDelayMs: number;
  readonly channelLimit: number;
  readonly userConnectionLimit: number;
  /** Bytes that wait for a slow client at most. */
  readonly queueMaxSize: number;
  readonly allowAnonymousConnectWithoutToken: boolean;
  readonly disallowAnonymousConnectionTokens: boolean;
  readonly subscribeToUserPersonalChannel: {
    readonly enabled: boolean;
    readonly personalChannelNamespace: string;
    readonly singleConnection: boolean;
  };
  readonly token: TokenKeys;
  /** Keys of subscription tokens; undefined: those of `token`. */
  readonly subscriptionToken: TokenKeys | undefined;
}

export interface ServerConfig {
  readonly client: ClientConfig;
  readonly channel: ChannelsConfig;
  readonly proxy: {
    readonly connect: EndpointConfig;
    readonly refresh: EndpointConfig;
    readonly subscribe: EndpointConfig;
    readonly publish: EndpointConfig;
    readonly subRefresh: EndpointConfig;
    readonly rpc: EndpointConfig;
  };
  readonly hooks: {
    readonly disconnect: EndpointConfig;
    /** First subscriber of a channel, and the last one that leaves. */
    readonly occupancy: EndpointConfig;
    readonly cacheMiss: EndpointConfig;
    /** Key with which the body of each hook is signed (HMAC-SHA256). "": not signed. */
    readonly secret: string;
  };
  readonly httpServer: {
    readonly address: string;
    readonly port: number;
    /** Port of the API, health, metrics; 0: they are on the public port. */
    readonly internalPort: number;
    readonly internalAddress: string;
    /** Proxies whose `X-Forwarded-For` is believed: addresses, networks and "unix:". */
    readonly trustedProxies: readonly string[];
    readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  };
  readonly httpApi: {
    readonly disabled: boolean;
    readonly key: string;
    readonly insecure: boolean;
    /**
     * True: requests from other machines get 403. Behind trusted proxies, the client's address is the one that the
     * proxies tell. Default: true if the key was made for this run, else false.
     */
    readonly loopbackOnly: boolean;
    readonly handlerPrefix: string;
    /** Bytes of a request body at most. */
    readonly maxBodyBytes: number;
    /** "" or "transport": errors as HTTP statuses. */
    readonly errorMode: "" | "transport";
  };
  readonly websocket: {
    readonly handlerPrefix: string;
    readonly messageSizeLimit: number;
    readonly compression: boolean;
  };
  readonly sse: { readonly enabled: boolean; readonly handlerPrefix: string };
  readonly httpStream: { readonly enabled: boolean; readonly handlerPrefix: string };
  readonly emulation: { readonly handlerPrefix: string };
  readonly health: { readonly enabled: boolean; readonly handlerPrefix: string };
  readonly prometheus: { readonly enabled: boolean; readonly handlerPrefix: string };
  readonly engine: {
    readonly type: "memory" | "redis";
    /** Address: a URL with user, password and database, `redis:` or `rediss:`. */
    readonly redis: { readonly address: string; readonly prefix: string };
  };
  readonly shutdown: {
    readonly readinessDelayMs: number;
    readonly timeoutMs: number;
    readonly batchSize: number;
    readonly batchIntervalMs: number;
  };
  readonly log: { readonly level: "none" | "error" | "warn" | "info" | "debug"; readonly format: "json" | "text" };
  /** Number of shards. 0: one for each core. */
  readonly shards: number;
  /** Kind of sockets of the shards. */
  readonly sockets: "auto" | "node" | "uring" | "relay";
  readonly node: { readonly name: string };
  /** Path of the socket by which another process takes over. "": none. */
  readonly takeover: string;
}
