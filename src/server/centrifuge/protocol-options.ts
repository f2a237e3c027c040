/**
 * The options of the protocol in a program of one's own: the sections `client` and `channel` of the config file of
 * `switchboard serve`, as an object, with the same names, checks and defaults.
 */
import { SwitchboardError } from "../../errors.ts";
import type { TopicsOption } from "../../runtime/streams/topic-rules.ts";
import { topicsOf as topicsOfChannels } from "../channels/topics.ts";
import type { ServerConfig } from "../config/config.ts";
import type { FileOf } from "../config/description.ts";
import type { channel } from "../config/keys/channel-keys.ts";
import type { client } from "../config/keys/client-keys.ts";
import { parseConfig } from "../config/load.ts";

/** Keys of the config file: see the guide to the config. Durations are text, such as "25s". */
export interface ProtocolOptions {
  /**
   * Admission of clients, tokens, limits and times. Without keys of tokens, `backend.connect` decides who may connect.
   */
  readonly client?: Omit<FileOf<typeof client>, "proxy"> | undefined;
  /** Channels and their namespaces. */
  readonly channel?: Omit<FileOf<typeof channel>, "proxy"> | undefined;
}

/** Stands for the program's own functions, where the config file has the address of an application. */
const OWN = { endpoint: "http://localhost" };

/** Fills in the defaults. Throws `ERR_OPTION` with all faults. */
export function protocolConfig({
  client = {},
  channel = {},
}: ProtocolOptions): Pick<ServerConfig, "client" | "channel"> {
  const misplaced = Object.entries({ client, channel })
    .filter(([, section]) => Object.hasOwn(section, "proxy"))
    .map(([name]) => `${name}.proxy is for switchboard serve: a program gives backend instead`);
  const file = {
    client,
    channel: { ...channel, proxy: { subscribe: OWN, publish: OWN, sub_refresh: OWN } },
    hooks: { occupancy: OWN, cache_miss: OWN },
    http_api: { disabled: true },
  };
  const loaded = parseConfig(JSON.stringify(file), { file: "the options" });
  const found =
    loaded.kind === "ok"
      ? ofMainThread(loaded.config.client)
      : loaded.faults.map(({ path, message }) => `${path}: ${message}`);
  const faults = [...misplaced, ...found];
  if (loaded.kind === "ok" && faults.length === 0) return loaded.config;
  throw new SwitchboardError("ERR_OPTION", faults.join("\n"));
}

/** Returns the faults of keys for which only `switchboard serve` does something in its main thread. */
function ofMainThread({ userConnectionLimit, subscribeToUserPersonalChannel }: ServerConfig["client"]): string[] {
  const keys = [
    ...(userConnectionLimit > 0 ? ["user_connection_limit"] : []),
    ...(subscribeToUserPersonalChannel.singleConnection
      ? ["subscribe_to_user_personal_channel.single_connection"]
      : []),
  ];
  return keys.map((key) => `client.${key} is for switchboard serve only`);
}

/**
 * Returns the option `topics` of `Switchboard.start` for the channels. The name of a topic is that of its channel.
 * Throws `ERR_OPTION` with all faults of the options.
 */
export function topicsOf(options: ProtocolOptions): TopicsOption {
  return topicsOfChannels(protocolConfig(options).channel);
}
