import { defineConfig } from "tsup";

export default defineConfig({
  entry: { index: "src/index.ts", "workers/shard": "workers/shard.ts" },
  format: "esm",
  target: "node22",
  dts: { entry: { index: "src/index.ts" } },
  // The thread entry and the public entry share chunks, so that an actor's base class is the same one in both.
  splitting: true,
  clean: true,
});
