/**
 * A server that gets another config while it runs: which part of the config, and how its shards get it. `server.ts` has
 * one.
 */
import type { RenewalResult } from "../../board/switchboard/moving/renewals.ts";
import type { Switchboard } from "../../board/switchboard/switchboard.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import { topicsOf } from "../channels/topics.ts";
import type { ClientConfig, ServerConfig } from "../config/config.ts";
import { publishSettings, type ShardSettings } from "./shard-settings.ts";

/** Keys of `client` that the main thread has used at the start. */
const FIXED_CLIENT = [
  "allowedOrigins",
  "queueMaxSize",
  "channelLimit",
  "userConnectionLimit",
  "subscribeToUserPersonalChannel",
] as const satisfies readonly (keyof ClientConfig)[];

/** Sections that belong to the shards alone. All others need a restart. */
const RELOADED: ReadonlySet<keyof ServerConfig> = new Set(["client", "channel", "proxy"]);

export interface ReloadedConfig {
  readonly config: ServerConfig;
  /** Keys whose new values need a restart: the old ones go on. */
  readonly needRestart: readonly string[];
}

/** The settings of the shards of one server. */
export class ReloadableSettings {
  readonly #actor: URL;
  readonly #version: string;
  #config: ServerConfig;
  #published: ReturnType<typeof publishSettings>;

  /** @param actor URL of the actor module */
  constructor(actor: URL, settings: ShardSettings) {
    this.#actor = actor;
    this.#version = settings.version;
    this.#config = settings.config;
    this.#published = publishSettings(actor, settings);
  }

  get config(): ServerConfig {
    return this.#config;
  }

  /** URL of the actor module that finds the settings. */
  get url(): URL {
    return this.#published.url;
  }

  /** Moves all clients to threads with another config. Rejects, with nothing changed, if the threads can't start. */
  async reload(board: Switchboard, next: ServerConfig): Promise<RenewalResult & Pick<ReloadedConfig, "needRestart">> {
    const { config, needRestart } = reloaded(this.#config, next);
    const published = publishSettings(this.#actor, { config, version: this.#version });
    try {
      const result = await board.reload({ actor: published.url });
      this.#published.forget();
      this.#published = published;
      this.#config = config;
      return { ...result, needRestart };
    } catch (error) {
      published.forget();
      throw error;
    }
  }

  forget(): void {
    this.#published.forget();
  }
}

/** Returns the config with which a server goes on that has run with `before`. */
export function reloaded(before: ServerConfig, after: ServerConfig): ReloadedConfig {
  const needRestart: string[] = [];
  const client: ClientConfig = { ...after.client, ...fixedOf(before.client) };
  for (const key of FIXED_CLIENT) {
    if (!builtins.util.isDeepStrictEqual(before.client[key], after.client[key]))
      needRestart.push(`client.${snake(key)}`);
  }
  // History and presence are kept by the engine, by rules that don't change.
  const hasTopics = builtins.util.isDeepStrictEqual(shapeOf(before.channel), shapeOf(after.channel));
  if (!hasTopics) needRestart.push("channel (its history, presence or namespaces)");
  for (const section of Object.keys(before) as (keyof ServerConfig)[]) {
    if (!RELOADED.has(section) && !builtins.util.isDeepStrictEqual(before[section], after[section]))
      needRestart.push(snake(section));
  }
  const { proxy } = after;
  return { config: { ...before, client, channel: hasTopics ? after.channel : before.channel, proxy }, needRestart };
}

/** The part of the config of channels that the engine and the API know. */
function shapeOf(channel: ServerConfig["channel"]): unknown {
  return [topicsOf(channel), channel.namespaces.map(({ name }) => name)];
}

function fixedOf(client: ClientConfig): Pick<ClientConfig, (typeof FIXED_CLIENT)[number]> {
  const { allowedOrigins, queueMaxSize, channelLimit, userConnectionLimit, subscribeToUserPersonalChannel } = client;
  return { allowedOrigins, queueMaxSize, channelLimit, userConnectionLimit, subscribeToUserPersonalChannel };
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
