import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
/** The entries of the package that the suite may import from `src`. */
const PUBLIC = ["src/index.ts", "src/engines/redis/index.ts", "src/wire/websocket/index.ts"];
/** Measurements of one part, and a server of a few parts: they may import any file. */
const OF_A_PART = ["bench/engine.ts", "bench/memory.ts", "bench/serve/server.ts", "bench/servers/uring.ts"];

it("the suite imports nothing but itself and the public entries of the package", () => {
  const files = globSync("bench/**/*.ts", { cwd: root, exclude: OF_A_PART });
  const imports = files.flatMap((file) =>
    [...readFileSync(join(root, file), "utf8").matchAll(/\b(?:from|import) "(\.[^"]+)"/g)].map(([, path = ""]) => ({
      file,
      target: join(dirname(file), path),
    })),
  );
  expect(imports).toContainEqual({ file: "bench/targets/switchboard.ts", target: "src/index.ts" });
  expect(imports.filter(({ target }) => !target.startsWith("bench/") && !PUBLIC.includes(target))).toEqual([]);
});
