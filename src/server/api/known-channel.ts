/** Looks a channel up for the methods of the API. */
import type { ChannelOptions } from "../channels/channel-options.ts";
import type { Channels } from "../channels/channels.ts";
import { badRequest, unknownChannel } from "./api-error.ts";

/** Returns the options of a channel. Throws error 102 for an unknown namespace, and 107 for a name that is none. */
export function optionsOf(channels: Channels, name: string): ChannelOptions {
  const found = channels.of(name);
  if (found.kind === "known") return found.channel.options;
  if (found.kind === "unknown") throw unknownChannel();
  throw badRequest(`${JSON.stringify(name.slice(0, 64))} is no name of a channel`);
}
