/** Turns the config in the form of the file into the form that the server's parts use. */
import type { ChannelOptions } from "../channels/channel-options.ts";
import { conceal } from "./conceal.ts";
import type { EndpointConfig, ServerConfig, TokenKeys } from "./config.ts";
import type { ChannelFields, EndpointFields, FileConfig } from "./keys/server-keys.ts";

/** Makes the config of the server. Its secrets don't show in logs. */
export function toServerConfig(file: FileConfig): ServerConfig {
  const { client, channel, rpc, hooks, httpServer, httpApi, engine, ...rest } = file;
  const { proxy, subscriptionToken, historyMaxPublicationLimit, recoveryMaxPublicationLimit, ...ofClients } = client;
  const { enabled: ownSubscriptionToken, ...subscriptionKeys } = subscriptionToken;
  const { maxRequestBodySize, ...api } = httpApi;
  const { certPem: certFile, keyPem: keyFile, enabled: tls } = httpServer.tls;
  const options = (fields: ChannelFields): ChannelOptions => channelOptions(fields, channel.historyMetaTtlMs);
  return {
    ...rest,
    httpServer: {
      ...httpServer,
      internalAddress: httpServer.internalAddress || httpServer.address,
      tls: tls ? { certFile, keyFile } : undefined,
    },
    client: {
      ...ofClients,
      token: tokenKeys(client.token),
      subscriptionToken: ownSubscriptionToken ? tokenKeys(subscriptionKeys) : undefined,
    },
    channel: {
      withoutNamespace: options(channel.withoutNamespace),
      namespaces: channel.namespaces.map(({ name, ...fields }) => ({ name, ...options(fields) })),
      maxLength: channel.maxLength,
      historyMaxPublicationLimit,
      recoveryMaxPublicationLimit,
    },
    proxy: {
      connect: endpoint(proxy.connect, proxy.connect.enabled),
      refresh: endpoint(proxy.refresh, proxy.refresh.enabled),
      // Namespaces turn these on: without an endpoint, none does.
      subscribe: endpoint(channel.proxy.subscribe),
      publish: endpoint(channel.proxy.publish),
      subRefresh: endpoint(channel.proxy.subRefresh),
      rpc: endpoint(rpc.proxy, rpc.withoutNamespace.proxyEnabled),
    },
    hooks: conceal(
      {
        disconnect: endpoint({ ...NOTHING_OF_CLIENTS, ...hooks.disconnect }, hooks.disconnect.enabled),
        occupancy: endpoint({ ...NOTHING_OF_CLIENTS, ...hooks.occupancy }),
        cacheMiss: endpoint({ ...NOTHING_OF_CLIENTS, ...hooks.cacheMiss }),
        secret: hooks.secret,
      },
      ["secret"],
    ),
    httpApi: conceal({ ...api, maxBodyBytes: maxRequestBodySize }, ["key"]),
    engine: {
      type: engine.type,
      redis: conceal({ address: redisUrl(engine.redis), prefix: engine.redis.prefix }, ["address"]),
    },
  };
}

function tokenKeys(keys: TokenKeys): TokenKeys {
  return conceal({ ...keys }, ["hmacSecretKey", "hmacPreviousSecretKey", "jwksPublicEndpoint"]);
}

function channelOptions(fields: ChannelFields, historyMetaTtlMs: number): ChannelOptions {
  return {
    ...fields,
    historyMetaTtlMs: fields.historyMetaTtlMs || historyMetaTtlMs,
    slowConsumerPolicy: fields.slowConsumerPolicy || undefined,
  };
}

/** The fields of questions that notifications don't have. */
const NOTHING_OF_CLIENTS = {
  httpHeaders: [],
  emulatedHeaders: [],
  binaryEncoding: false,
  includeConnectionMeta: false,
} as const;

function endpoint(fields: EndpointFields, enabled = fields.endpoint !== ""): EndpointConfig {
  const { http, ...rest } = fields;
  const staticHttpHeaders = http.staticHeaders;
  return conceal({ ...rest, enabled, staticHttpHeaders }, ["endpoint", "staticHttpHeaders"]);
}

/** One URL with user, password and database. A URL that has a user, a password or a database keeps its own. */
function redisUrl({ address, user, password, db }: FileConfig["engine"]["redis"]): string {
  if (address === "") return "";
  const url = new URL(address.includes("://") ? address : `redis://${address}`);
  if (user !== "" && url.username === "") url.username = encodeURIComponent(user);
  if (password !== "" && url.password === "") url.password = encodeURIComponent(password);
  if (db > 0 && url.pathname.length < 2) url.pathname = `/${db}`;
  return url.href;
}
