/** `switchboard/redis`: the engine for more than one machine. Its default export is what the engine thread loads. */
import { existsSync } from "node:fs";
import { SwitchboardError } from "../../errors.ts";
import type { EngineFactory, EngineSpec } from "../../runtime/streams/engine.ts";
import { RedisEngine } from "./engine.ts";
import type { RedisClientPackage } from "./link/connection.ts";
import { checkRedisOptions, type RedisOptions, type RedisSettings } from "./options.ts";

export type { RedisCluster, RedisNode, RedisOptions, RedisSentinel, RedisTls } from "./options.ts";

/**
 * Returns the option `engine` of a board that works with other boards over Redis. Needs the package `@redis/client`.
 * Throws `ERR_OPTION` by the name of the option, and `ERR_BUNDLED` if a bundler has left out the engine's module.
 */
export function redis(options: RedisOptions): EngineSpec {
  return { name: "redis", module: findModule().href, options: checkRedisOptions(options) };
}

/** Returns this file, or the one of the built package that has its contents. */
function findModule(): URL {
  // A bundle in CommonJS has no URL.
  const here: string | undefined = import.meta.url;
  const module = URL.parse(here?.endsWith(".ts") ? "./index.ts" : "./redis.js", here);
  if (module !== null && existsSync(module)) return module;
  const message =
    "switchboard was bundled into this program without the module of its engine for Redis: mark switchboard as external in the bundler (esbuild: --external:switchboard) and install it beside the bundle";
  throw new SwitchboardError("ERR_BUNDLED", message);
}

/** Creates the engine of a node, from the options that `redis` has checked. */
export const createRedisEngine: EngineFactory = async (options, node) =>
  new RedisEngine(await loadClient(), options as RedisSettings, node);

export default createRedisEngine;

async function loadClient(): Promise<RedisClientPackage> {
  try {
    return await import("@redis/client");
  } catch (cause) {
    const message = "the engine for Redis needs the package @redis/client: npm install @redis/client@6";
    throw new SwitchboardError("ERR_ENGINE_PACKAGE", message, { cause });
  }
}
