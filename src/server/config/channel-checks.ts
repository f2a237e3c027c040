/** The checks of namespaces and of their options together. */
import type { ChannelFields, FileConfig } from "./keys/server-keys.ts";
import type { ConfigReader } from "./read.ts";

/** A board has at most 1000 patterns of topics, and a namespace takes two. */
const MAX_NAMESPACES = 499;

/** The endpoints that namespaces turn on. */
const SWITCHES = [
  { name: "subscribe_proxy_enabled", field: "subscribeProxyEnabled", path: "channel.proxy.subscribe.endpoint" },
  { name: "publish_proxy_enabled", field: "publishProxyEnabled", path: "channel.proxy.publish.endpoint" },
  { name: "sub_refresh_proxy_enabled", field: "subRefreshProxyEnabled", path: "channel.proxy.sub_refresh.endpoint" },
  { name: "occupancy_hooks_enabled", field: "occupancyHooksEnabled", path: "hooks.occupancy.endpoint" },
  { name: "cache_miss_hook_enabled", field: "cacheMissHookEnabled", path: "hooks.cache_miss.endpoint" },
] as const;

/** Checks namespaces and the endpoints that they turn on. */
export function checkChannels({ channel, hooks }: FileConfig, reader: ConfigReader): void {
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
