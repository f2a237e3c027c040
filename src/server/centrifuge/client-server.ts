/** Makes the `ClientServer` of an actor module from options with the names of the config file. */
import { SwitchboardError } from "../../errors.ts";
import { checkNames } from "../../wire/handshake/option-check.ts";
import type { ChannelOptions, ChannelsConfig } from "../channels/channel-options.ts";
import { ClientServer, type ClientServerOptions } from "../client/client-server.ts";
import { checkedBackend } from "./checked-backend.ts";
import { type ProtocolOptions, protocolConfig } from "./protocol-options.ts";

export type ClientServerSettings = ProtocolOptions &
  Omit<ClientServerOptions, "client" | "channel" | "admission" | "observer">;

const NAMES = ["client", "channel", "backend", "version", "tell"] as const satisfies (keyof ClientServerSettings)[];

/** The options of namespaces that need a function of the program. */
const NEEDS = [
  { option: "subscribeProxyEnabled", key: "subscribe_proxy_enabled", needs: "backend.subscribe" },
  { option: "publishProxyEnabled", key: "publish_proxy_enabled", needs: "backend.publish" },
  { option: "subRefreshProxyEnabled", key: "sub_refresh_proxy_enabled", needs: "backend.subRefresh" },
  { option: "cacheMissHookEnabled", key: "cache_miss_hook_enabled", needs: "backend.cacheMissed" },
  { option: "occupancyHooksEnabled", key: "occupancy_hooks_enabled", needs: "tell" },
] as const;

/**
 * Makes what all clients of one shard share. Call it once in an actor module, and give the result to the subclass of
 * `ClientActor`. Throws `ERR_OPTION` with all faults of the options.
 */
export function clientServer(settings: ClientServerSettings = {}): ClientServer {
  const { client, channel, ...rest } = settings;
  const faults: string[] = [];
  gather(faults, () => checkNames("clientServer", settings, NAMES));
  const config = gather(faults, () => protocolConfig({ client, channel }));
  if (config !== undefined) faults.push(...missingFunctions(config.channel, rest));
  if (config === undefined || faults.length > 0) throw new SwitchboardError("ERR_OPTION", faults.join("\n"));
  const backend = rest.backend === undefined ? undefined : checkedBackend(rest.backend);
  return new ClientServer({ ...rest, client: config.client, channel: config.channel, backend });
}

/** Runs a check. Adds the message of what it refuses to the faults. */
function gather<Result>(faults: string[], check: () => Result): Result | undefined {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof SwitchboardError)) throw error;
    faults.push(error.message);
    return undefined;
  }
}

function missingFunctions(
  { withoutNamespace, namespaces }: ChannelsConfig,
  { backend = {}, tell }: Pick<ClientServerOptions, "backend" | "tell">,
): string[] {
  const given: Readonly<Record<(typeof NEEDS)[number]["needs"], unknown>> = {
    "backend.subscribe": backend.subscribe,
    "backend.publish": backend.publish,
    "backend.subRefresh": backend.subRefresh,
    "backend.cacheMissed": backend.cacheMissed,
    tell,
  };
  const all: readonly (readonly [path: string, options: ChannelOptions])[] = [
    ["channel.without_namespace", withoutNamespace],
    ...namespaces.map((options, at) => [`channel.namespaces[${at}]`, options] as const),
  ];
  return all.flatMap(([path, options]) =>
    NEEDS.filter(({ option, needs }) => options[option] && given[needs] === undefined).map(
      ({ key, needs }) => `${path}.${key} needs the function ${needs}`,
    ),
  );
}
