import { defineConfig } from "tsup";

/** What a user imports: the package and its parts. */
const entries = {
  index: "src/index.ts",
  metrics: "src/metrics/index.ts",
  upgrade: "src/upgrade/index.ts",
  websocket: "src/websocket/index.ts",
};

export default defineConfig({
  entry: { ...entries, "workers/shard": "workers/shard.ts" },
  format: "esm",
  target: "node22",
  dts: { entry: entries },
  // The thread entry and the public entry share chunks, so that an actor's base class is the same one in both.
  splitting: true,
  clean: true,
});
