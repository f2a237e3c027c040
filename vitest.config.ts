import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Threads of the pool under test are real threads: one process for each test file keeps descriptor and memory counts apart.
    pool: "forks",
    // Most tests wait for something most of the time: on two cores three files at once take half as long as one after the other.
    maxWorkers: Math.max(3, availableParallelism()),
    setupFiles: ["test/support/patience.ts"],
    // They only end tests that would never end.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
