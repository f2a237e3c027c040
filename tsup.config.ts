import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { defineConfig } from "tsup";

/** What a user imports: the package and its parts. */
export const entries = {
  index: "src/index.ts",
  centrifuge: "src/server/centrifuge/index.ts",
  metrics: "src/board/metrics/index.ts",
  redis: "src/engines/redis/index.ts",
  upgrade: "src/wire/upgrade/index.ts",
  websocket: "src/wire/websocket/index.ts",
};

/**
 * What runs by itself: the command, the actors of the demo and of `switchboard serve`, the threads, the engine that their
 * thread loads by its URL.
 */
export const programs = {
  "cli/main": "src/cli/main.ts",
  "cli/demo/chat": "src/cli/demo/chat.ts",
  "server/actor": "src/server/serve/actor.ts",
  "workers/shard": "workers/shard.ts",
  "workers/engine": "workers/engine.ts",
  "engines/memory": "src/runtime/streams/memory/memory-engine.ts",
  "workers/load": "workers/load.ts",
};

/** What belongs to the built package besides its code. */
export const assets = {
  "cli/demo/page.html": "src/cli/demo/page.html",
  "config-schema.json": "src/server/config/schema.json",
};

/** The form of the built package. The tests build theirs in the same. */
export const form = {
  format: "esm",
  target: "node22",
  // The thread entry and the public entry share chunks, so that an actor's base class is the same one in both.
  splitting: true,
} as const;

export default defineConfig(({ outDir = "dist" }) => ({
  entry: { ...entries, ...programs },
  ...form,
  dts: { entry: entries },
  clean: true,
  onSuccess: async () => {
    for (const [path, source] of Object.entries(assets)) await copyFile(source, join(outDir, path));
  },
}));
