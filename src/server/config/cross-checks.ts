/** The checks of keys that depend on each other. */
import type { ChannelFields, FileConfig } from "./keys/server-keys.ts";
import type { ConfigReader } from "./read.ts";

/** Fewest characters of a secret that nobody can guess. */
const MIN_HMAC_SECRET = 32;
const MIN_API_KEY = 16;
/** A board has at most 1000 patterns of topics, and a namespace takes two. */
const MAX_NAMESPACES = 499;

/** Checks a config and tells the reader of faults and warnings. */
export function checkTogether(config: FileConfig, reader: ConfigReader): void {
  checkServer(config, reader);
  checkPaths(config, reader);
  checkClient(config, reader);
  checkTokens(config, reader);
  checkEndpoints(config, reader);
  checkChannels(config, reader);
}

function checkServer({ httpServer, httpApi, engine }: FileConfig, reader: ConfigReader): void {
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

function checkClient({ client, channel }: FileConfig, reader: ConfigReader): void {
  if (client.pingIntervalMs > 0 && client.pongTimeoutMs >= client.pingIntervalMs) {
    reader.fault(["client.pong_timeout", "client.ping_interval"], "has to be shorter than client.ping_interval");
  }
  for (const [at, origin] of client.allowedOrigins.entries()) {
    if (origin === "*" || /^[a-z][a-z0-9+.-]*:\/\/[^/\s]+$/i.test(origin)) continue;
    reader.fault(
      [`client.allowed_origins[${at}]`, "client.allowed_origins"],
      `takes origins as browsers send them, such as "https://example.com", not ${JSON.stringify(origin.slice(0, 60))}`,
    );
  }
  if (client.insecure) {
    reader.warn(["client.insecure"], "is on: anybody may connect, subscribe and publish");
  } else if (client.allowedOrigins.includes("*")) {
    reader.warn(["client.allowed_origins"], 'holds "*": pages of any site may connect in the name of their visitors');
  }
  const personal = client.subscribeToUserPersonalChannel;
  if (!personal.enabled) return;
  const own = "client.subscribe_to_user_personal_channel";
  const name = personal.personalChannelNamespace;
  const at = channel.namespaces.findIndex((namespace) => namespace.name === name);
  if (name !== "" && at < 0) {
    reader.fault(
      [`${own}.personal_channel_namespace`, "channel.namespaces"],
      `names the namespace ${JSON.stringify(name.slice(0, 60))}, which channel.namespaces doesn't have`,
    );
    return;
  }
  const options = name === "" ? channel.withoutNamespace : channel.namespaces[at];
  const presence = `${name === "" ? "channel.without_namespace" : `channel.namespaces[${at}]`}.presence`;
  if (personal.singleConnection && options?.presence === false) {
    reader.fault([`${own}.single_connection`, presence], `needs ${presence}: true`);
  }
}

type TokenFields = FileConfig["client"]["token"];

/** True if tokens can be checked. */
export function hasTokenKey({ hmacSecretKey, rsaPublicKey, ecdsaPublicKey, jwksPublicEndpoint }: TokenFields): boolean {
  return hmacSecretKey !== "" || rsaPublicKey !== "" || ecdsaPublicKey !== "" || jwksPublicEndpoint !== "";
}

const TOKEN_KEYS = ["hmac_secret_key", "rsa_public_key", "ecdsa_public_key", "jwks_public_endpoint"];

function checkTokens({ client }: FileConfig, reader: ConfigReader): void {
  const { token, subscriptionToken, proxy, insecure, allowAnonymousConnectWithoutToken } = client;
  if (!hasTokenKey(token) && !proxy.connect.enabled && !insecure && !allowAnonymousConnectWithoutToken) {
    reader.warn(
      [...TOKEN_KEYS.map((key) => `client.token.${key}`), "client.proxy.connect.enabled", "client.insecure"],
      "is missing, so no client can connect: set it, or client.proxy.connect, or client.insecure for development",
    );
  }
  if (subscriptionToken.enabled && !hasTokenKey(subscriptionToken)) {
    reader.fault(
      ["client.subscription_token.enabled", ...TOKEN_KEYS.map((key) => `client.subscription_token.${key}`)],
      "needs a key beside it, such as hmac_secret_key",
    );
  }
  const kinds = [
    ["client.token", token],
    ["client.subscription_token", subscriptionToken],
  ] as const;
  for (const [path, keys] of kinds) {
    checkJwks(path, keys, reader);
    const { hmacSecretKey, hmacPreviousSecretKey, hmacPreviousSecretKeyValidUntil } = keys;
    for (const [name, secret] of [
      ["hmac_secret_key", hmacSecretKey],
      ["hmac_previous_secret_key", hmacPreviousSecretKey],
    ] as const) {
      if (secret === "" || secret.length >= MIN_HMAC_SECRET) continue;
      reader.warn(
        [`${path}.${name}`],
        `has ${secret.length} characters only: at least ${MIN_HMAC_SECRET} can't be guessed from a token`,
      );
    }
    if (hmacPreviousSecretKeyValidUntil > 0 && hmacPreviousSecretKey === "") {
      reader.warn(
        [`${path}.hmac_previous_secret_key_valid_until`, `${path}.hmac_previous_secret_key`],
        "has no effect without hmac_previous_secret_key",
      );
    }
  }
}

function checkJwks(path: string, keys: TokenFields, reader: ConfigReader): void {
  const url = URL.parse(keys.jwksPublicEndpoint);
  if (url === null) return;
  const own = `${path}.jwks_public_endpoint`;
  if (url.username !== "" || url.password !== "") reader.fault([own], "takes a URL without a user and a password");
  const others = {
    hmac_secret_key: keys.hmacSecretKey,
    rsa_public_key: keys.rsaPublicKey,
    ecdsa_public_key: keys.ecdsaPublicKey,
  };
  for (const [name, key] of Object.entries(others)) {
    if (key !== "")
      reader.warn([`${path}.${name}`, own], "has no effect: the keys of jwks_public_endpoint take its place");
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

/** The endpoints that namespaces turn on. */
const SWITCHES = [
  { name: "subscribe_proxy_enabled", field: "subscribeProxyEnabled", path: "channel.proxy.subscribe.endpoint" },
  { name: "publish_proxy_enabled", field: "publishProxyEnabled", path: "channel.proxy.publish.endpoint" },
  { name: "sub_refresh_proxy_enabled", field: "subRefreshProxyEnabled", path: "channel.proxy.sub_refresh.endpoint" },
  { name: "occupancy_hooks_enabled", field: "occupancyHooksEnabled", path: "hooks.occupancy.endpoint" },
  { name: "cache_miss_hook_enabled", field: "cacheMissHookEnabled", path: "hooks.cache_miss.endpoint" },
] as const;

function checkChannels({ channel, hooks }: FileConfig, reader: ConfigReader): void {
  const endpoints: Readonly<Record<(typeof SWITCHES)[number]["field"], string>> = {
    subscribeProxyEnabled: channel.proxy.subscribe.endpoint,
    publishProxyEnabled: channel.proxy.publish.endpoint,
    subRefreshProxyEnabled: channel.proxy.subRefresh.endpoint,
    occupancyHooksEnabled: hooks.occupancy.endpoint,
    cacheMissHookEnabled: hooks.cacheMiss.endpoint,
  };
  const all: { readonly path: string; readonly options: ChannelFields }[] = [
    { path: "channel.without_namespace", options: channel.withoutNamespace },
    ...channel.namespaces.map((options, at) => ({ path: `channel.namespaces[${at}]`, options })),
  ];
  for (const { name, field, path: endpoint } of SWITCHES) {
    const on = all.filter(({ options }) => options[field]);
    for (const { path } of endpoints[field] === "" ? on : []) {
      reader.fault([`${path}.${name}`, endpoint], `needs ${endpoint}`);
    }
    if (endpoints[field] !== "" && on.length === 0) {
      const switches = all.map(({ path }) => `${path}.${name}`);
      reader.warn([endpoint, ...switches], `has no effect: set ${name} in a namespace`);
    }
  }
  for (const { path, options } of all) checkOptions(path, options, channel.historyMetaTtlMs, reader);

  if (channel.namespaces.length > MAX_NAMESPACES) {
    reader.fault(
      ["channel.namespaces"],
      `holds ${channel.namespaces.length} namespaces: at most ${MAX_NAMESPACES} are allowed`,
    );
  }
  const names = new Map<string, number>();
  for (const [at, { name }] of channel.namespaces.entries()) {
    const path = `channel.namespaces[${at}].name`;
    if (name === "") reader.fault([path], "is missing: each namespace needs a name");
    else if (names.has(name)) reader.fault([path], `is the name of channel.namespaces[${names.get(name)}] as well`);
    else names.set(name, at);
  }
}

function checkOptions(path: string, options: ChannelFields, metaTtlMs: number, reader: ConfigReader): void {
  const need = (name: string, needs: readonly string[], text: string): void => {
    reader.fault(
      [name, ...needs].map((one) => `${path}.${one}`),
      text,
    );
  };
  const { historySize, historyTtlMs, historyMetaTtlMs } = options;
  if (historySize > 0 && historyTtlMs === 0) need("history_size", ["history_ttl"], 'needs history_ttl, such as "300s"');
  if (historySize === 0 && historyTtlMs > 0) need("history_ttl", ["history_size"], "needs history_size, such as 100");
  if ((historyMetaTtlMs || metaTtlMs) < historyTtlMs) {
    const meta = historyMetaTtlMs > 0 ? `${path}.history_meta_ttl` : "channel.history_meta_ttl";
    reader.fault([`${path}.history_ttl`, meta], `has to be at most ${meta}`);
  }
  const history = historySize > 0 && historyTtlMs > 0;
  const sizes = ["history_size", "history_ttl"];
  if (!history && options.forceRecovery) need("force_recovery", sizes, "needs history_size and history_ttl");
  if (!history && options.forcePositioning) need("force_positioning", sizes, "needs history_size and history_ttl");
  if (options.joinLeave && !options.presence) need("join_leave", ["presence"], "needs presence: true");
  const cache = options.forceRecoveryMode === "cache";
  if (options.autoCacheRecover && !(options.forceRecovery && cache)) {
    const text = 'needs force_recovery: true and force_recovery_mode: "cache"';
    need("auto_cache_recover", ["force_recovery", "force_recovery_mode"], text);
  }
  const idle = (name: string, on: boolean, needs: readonly string[], text: string): void => {
    if (on)
      reader.warn(
        [name, ...needs].map((one) => `${path}.${one}`),
        `has no effect without ${text}`,
      );
  };
  idle("force_push_join_leave", options.forcePushJoinLeave && !options.joinLeave, ["join_leave"], "join_leave");
  idle("allow_recovery", options.allowRecovery && !history, sizes, "history_size and history_ttl");
  idle("allow_positioning", options.allowPositioning && !history, sizes, "history_size and history_ttl");
  idle(
    "cache_miss_hook_enabled",
    options.cacheMissHookEnabled && !cache,
    ["force_recovery_mode"],
    'force_recovery_mode: "cache"',
  );
  for (const whom of ["client", "subscriber", "anonymous"] as const) {
    const field = `${whom[0]?.toUpperCase()}${whom.slice(1)}` as Capitalize<typeof whom>;
    idle(
      `allow_history_for_${whom}`,
      options[`allowHistoryFor${field}`] && !history,
      sizes,
      "history_size and history_ttl",
    );
    idle(
      `allow_presence_for_${whom}`,
      options[`allowPresenceFor${field}`] && !options.presence,
      ["presence"],
      "presence",
    );
  }
}
