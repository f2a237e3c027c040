/**
 * Carries the config of a server to its shards: as environment data of worker threads, under a name that the URL of the
 * actor module tells. Every shard that starts gets it, also one that takes another's place.
 */
import { getEnvironmentData, setEnvironmentData } from "node:worker_threads";
import type { ServerConfig } from "../config/config.ts";

export interface ShardSettings {
  readonly config: ServerConfig;
  readonly version: string;
}

const NAME = "switchboard.serve";
const QUERY = "server";
let servers = 0;

/** Makes the settings known to threads that start from now on. Returns the URL of the actor module that finds them. */
export function publishSettings(
  actor: URL,
  settings: ShardSettings,
): { readonly url: URL; readonly forget: () => void } {
  const id = `${++servers}`;
  const name = `${NAME}.${id}`;
  setEnvironmentData(name, settings as never);
  const url = new URL(actor);
  url.searchParams.set(QUERY, id);
  return { url, forget: () => setEnvironmentData(name, undefined) };
}

/** Returns the settings of the server whose actor module this is. */
export function settingsOf(moduleUrl: string): ShardSettings {
  const id = new URL(moduleUrl).searchParams.get(QUERY);
  return getEnvironmentData(`${NAME}.${id}`) as unknown as ShardSettings;
}
