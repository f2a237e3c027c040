/** The checks of keys that depend on each other. */
import { UNIX_PEERS } from "../../board/accept/client-address.ts";
import { isAddressOrNetwork } from "../../wire/transport/ip-address.ts";
import { checkChannels } from "./channel-checks.ts";
import { checkClient, checkTokens } from "./client-checks.ts";
import type { FileConfig } from "./keys/server-keys.ts";
import type { ConfigReader } from "./read.ts";

/** Fewest characters of a key that nobody can guess. */
const MIN_API_KEY = 16;

/** Checks a config and tells the reader of faults and warnings. */
export function checkTogether(config: FileConfig, reader: ConfigReader): void {
  checkServer(config, reader);
  checkPaths(config, reader);
  checkClient(config, reader);
  checkTokens(config, reader);
  checkEndpoints(config, reader);
  checkChannels(config, reader);
}

function checkServer({ httpServer, httpApi, engine, shutdown }: FileConfig, reader: ConfigReader): void {
  const { port, internalPort, tls } = httpServer;
  if (internalPort !== 0 && internalPort === port) {
    reader.fault(
      ["http_server.internal_port", "http_server.port"],
      "is the port of clients: leave it out to serve both on one port",
    );
  }
  for (const name of ["cert_pem", "key_pem"] as const) {
    const file = name === "cert_pem" ? tls.certPem : tls.keyPem;
    if (tls.enabled && file === "") {
      reader.fault(
        [`http_server.tls.${name}`, "http_server.tls.enabled"],
        "is missing: tls.enabled needs the path of a file",
      );
    }
  }
  const strange = httpServer.trustedProxies.filter((proxy) => proxy !== UNIX_PEERS && !isAddressOrNetwork(proxy));
  for (const proxy of strange) {
    reader.fault(
      ["http_server.trusted_proxies"],
      `takes addresses, networks such as "10.0.0.0/8" and "unix:", not ${JSON.stringify(proxy)}`,
    );
  }
  if (shutdown.readinessDelayMs >= shutdown.timeoutMs && shutdown.readinessDelayMs > 0) {
    reader.fault(
      ["shutdown.readiness_delay", "shutdown.timeout"],
      "is as long as shutdown.timeout or longer: no time is left for clients",
    );
  }
  if (httpApi.insecure && !httpApi.disabled) {
    reader.warn(["http_api.insecure"], "is on: whoever reaches the API may publish, disconnect and read");
  } else if (httpApi.key === "" && !httpApi.disabled) {
    reader.fault(
      ["http_api.key", "http_api.insecure", "http_api.disabled"],
      "is missing: write a long random text (switchboard config init makes one), or set http_api.disabled",
    );
  } else if (httpApi.key.length < MIN_API_KEY && !httpApi.disabled) {
    reader.warn(
      ["http_api.key"],
      `has ${httpApi.key.length} characters only: at least ${MIN_API_KEY} are hard to guess`,
    );
  }
  if (engine.type === "redis" && engine.redis.prefix === "") reader.fault(["engine.redis.prefix"], "takes text");
  if (engine.type === "redis" && engine.redis.address === "") {
    reader.fault(["engine.redis.address"], 'takes a URL, such as "redis://127.0.0.1:6379"');
  }
  if (engine.type === "memory") {
    for (const name of ["address", "user", "password", "db"]) {
      const path = `engine.redis.${name}`;
      if (reader.has(path)) reader.warn([path, "engine.type"], 'has no effect: engine.type is "memory"');
    }
  }
}

/** Two things on one port need two paths. */
function checkPaths(config: FileConfig, reader: ConfigReader): void {
  const { websocket, sse, httpStream, emulation, httpApi, health, prometheus } = config;
  const all = [
    { section: "websocket", prefix: websocket.handlerPrefix, on: true },
    { section: "sse", prefix: sse.handlerPrefix, on: sse.enabled },
    { section: "http_stream", prefix: httpStream.handlerPrefix, on: httpStream.enabled },
    { section: "emulation", prefix: emulation.handlerPrefix, on: sse.enabled || httpStream.enabled },
    { section: "http_api", prefix: httpApi.handlerPrefix, on: !httpApi.disabled },
    { section: "health", prefix: health.handlerPrefix, on: health.enabled },
    { section: "prometheus", prefix: prometheus.handlerPrefix, on: prometheus.enabled },
  ];
  const taken = new Map<string, string>();
  for (const { section, prefix } of all.filter(({ on }) => on)) {
    const path = `${section}.handler_prefix`;
    const other = taken.get(prefix);
    if (other !== undefined) reader.fault([path, other], `is the path of ${other} as well: choose another one`);
    else if (prefix === "") reader.fault([path], 'takes a path, such as "/api"');
    taken.set(prefix, path);
  }
}

function checkEndpoints(config: FileConfig, reader: ConfigReader): void {
  const { client, rpc, hooks } = config;
  const switched = [
    { path: "client.proxy.connect", endpoint: client.proxy.connect },
    { path: "client.proxy.refresh", endpoint: client.proxy.refresh },
    { path: "hooks.disconnect", endpoint: hooks.disconnect },
  ];
  for (const { path, endpoint } of switched) {
    if (endpoint.enabled) needEndpoint([`${path}.endpoint`, `${path}.enabled`], endpoint, reader);
    else if (endpoint.endpoint !== "") {
      reader.warn([`${path}.endpoint`, `${path}.enabled`], `has no effect: set ${path}.enabled`);
    }
  }
  const enabled = "rpc.without_namespace.proxy_enabled";
  if (rpc.withoutNamespace.proxyEnabled) needEndpoint(["rpc.proxy.endpoint", enabled], rpc.proxy, reader);
  else if (rpc.proxy.endpoint !== "") reader.warn(["rpc.proxy.endpoint", enabled], `has no effect: set ${enabled}`);
}

function needEndpoint(
  paths: readonly string[],
  { endpoint }: { readonly endpoint: string },
  reader: ConfigReader,
): void {
  if (endpoint === "") reader.fault(paths, `is missing: ${paths[1]} needs the URL of the application`);
}
