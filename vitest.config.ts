import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";

const root = import.meta.dirname;

// Tests start some thousand threads and programs. With the code that V8 has made for the first of them, each of the
// others takes half the CPU time to start.
process.env["NODE_COMPILE_CACHE"] ??= join(root, "node_modules/.cache/node");
// The built sources, which these load, halve what is left. Required, because a thread of a process with `--input-type`
// refuses an import of NODE_OPTIONS.
const preload = JSON.stringify(join(root, "test/support/resolve-sources.ts"));
process.env["NODE_OPTIONS"] = `${process.env["NODE_OPTIONS"] ?? ""} --require=${preload}`.trim();

/**
 * Tests that leave nothing behind: a process runs one of their files after the other, which saves 0.3 s of CPU for each.
 * Not those that count the descriptors, the threads or the memory of their process, or look at the state of a module; nor
 * those of the protocol: they create memory of WebAssembly again and again, and a process has room for a few dozen.
 */
const sharing = globSync(
  [
    "test/{bench,engines,load,runtime}/**/*.test.ts",
    "test/board/{accept,connection,metrics,shard}/**/*.test.ts",
    "test/board/switchboard/{engine,moving,options,pool}/**/*.test.ts",
    "test/e2e/streams/**/*.test.ts",
    "test/server/{api,auth,centrifuge,channels,client,config,emulation,hooks,protocol,serve}/**/*.test.ts",
    "test/wire/{handshake,transport,websocket}/**/*.test.ts",
  ],
  {
    cwd: root,
    exclude: ["**/*memory*.test.ts", "test/wire/transport/uring/**", "test/board/shard/{dying,module}-*.test.ts"],
  },
);

export default defineConfig({
  test: {
    projects: [
      { extends: true, test: { name: "sharing", include: sharing, isolate: false } },
      { extends: true, test: { name: "alone", include: ["test/**/*.test.ts"], exclude: sharing } },
    ],
    pool: "forks",
    // Most tests wait for something most of the time: two cores were idle for 14 % of the time with three files at once,
    // for 9 % with four.
    maxWorkers: availableParallelism() + 2,
    sequence: { sequencer: LongestFirst },
    globalSetup: ["test/support/build-sources.ts"],
    setupFiles: ["test/support/patience.ts"],
    // They only end tests that would never end.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
