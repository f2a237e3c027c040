/** The memory engine as an option of a board, and its own options. */
import { existsSync } from "node:fs";
import { SwitchboardError } from "../../../errors.ts";
import { checkNames, checkOption, integer, type OptionCheck } from "../../../wire/handshake/option-check.ts";
import type { EngineSpec } from "../engine.ts";

/** Bounds of the memory engine. */
export interface MemoryEngineOptions {
  /**
   * Memory for the publications of all streams, in bytes. Beyond it the stream whose last publish is longest ago loses
   * its publications. From 1 MiB. Default: 256 MiB.
   */
  readonly maxBytes?: number;
  /**
   * Number of streams whose epoch and top offset are kept. Beyond it the one that was used least recently is forgotten,
   * those without publications and subscribers first. A stream takes about 0.5 KiB beside its publications. Default:
   * 1,000,000.
   */
  readonly maxStreams?: number;
  /**
   * Number of idempotency keys that are known at a time. Beyond it the oldest is forgotten before its five minutes are
   * over. A key takes about 0.2 KiB. Default: 1,000,000.
   */
  readonly maxIdempotencyKeys?: number;
  /**
   * Publications that go along when another process takes over, in bytes of memory. Beyond it, those of the streams
   * whose last publish is longest ago stay behind: the event `historyLeft`. From 0. Default: 256 MiB.
   */
  readonly maxTakeoverBytes?: number;
  /** Number of members of all topics. Beyond it a join is rejected with `ERR_ENGINE_FULL`. Default: 1,000,000. */
  readonly maxMembers?: number;
}

const DEFAULTS: Required<MemoryEngineOptions> = {
  maxBytes: 256 * 1024 * 1024,
  maxStreams: 1_000_000,
  maxIdempotencyKeys: 1_000_000,
  maxMembers: 1_000_000,
  maxTakeoverBytes: 256 * 1024 * 1024,
};

/** A `Map` holds no more than 2^24 entries. */
const MAX_ENTRIES = 16_000_000;
const MIN_BYTES = 1024 * 1024;

const CHECKS: Record<keyof MemoryEngineOptions, OptionCheck> = {
  maxBytes: integer(MIN_BYTES, Number.MAX_SAFE_INTEGER),
  maxStreams: integer(1, MAX_ENTRIES),
  maxIdempotencyKeys: integer(1, MAX_ENTRIES),
  maxMembers: integer(1, MAX_ENTRIES),
  maxTakeoverBytes: integer(0, Number.MAX_SAFE_INTEGER),
};

/** Checks the options and fills in the defaults. Throws `ERR_OPTION`, by the name of the option. */
export function checkMemoryOptions(options: unknown): Required<MemoryEngineOptions> {
  if (options === undefined) return DEFAULTS;
  checkNames("memory", options, Object.keys(CHECKS));
  const given = Object.entries(options as MemoryEngineOptions).filter(([, value]) => value !== undefined);
  for (const [name, value] of given) {
    checkOption("memory", name, value, CHECKS[name as keyof MemoryEngineOptions]);
  }
  return { ...DEFAULTS, ...Object.fromEntries(given) };
}

/**
 * Returns the memory engine as a value for a board's option `engine`: streams and presence live in this process, and
 * end with it. Throws `ERR_OPTION` for a bad option, and `ERR_BUNDLED` if a bundler has left out the engine's module.
 */
export function memory(options?: MemoryEngineOptions): EngineSpec {
  return { name: "memory", module: findModule().href, options: checkMemoryOptions(options) };
}

/** Returns the file of the engine: beside this one, or in the built package. */
function findModule(): URL {
  // A bundle in CommonJS has no URL.
  const here: string | undefined = import.meta.url;
  const module = URL.parse(here?.endsWith(".ts") ? "./memory-engine.ts" : "./engines/memory.js", here);
  if (module !== null && existsSync(module)) return module;
  const message =
    "switchboard was bundled into this program without the module of its memory engine: mark switchboard as external in the bundler (esbuild: --external:switchboard) and install it beside the bundle";
  throw new SwitchboardError("ERR_BUNDLED", message);
}
