/** The order of the test files, see `vitest.config.ts`. */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take longest, from the longest on. Without this list the larger file runs first. */
const LONGEST = [
  "fault/attacks",
  "engines/redis/redis-engine",
  "fault/shard-faults",
  "e2e/package",
  "server/e2e/cluster",
  "e2e/shard-handshake",
  "examples/readme",
  "cli/run/run",
  "cli/run/handles",
  "server/emulation/real-server",
  "board/switchboard/close",
  "board/switchboard/cluster/cluster",
  "board/switchboard/shutdown",
  "e2e/tls",
  "conformance/tls-server",
  "e2e/takeover/other-nodes",
  "conformance/relay-server",
  "conformance/client",
  "conformance/shard-server",
  "conformance/plain-server",
  "fault/failed-shards",
  "fault/leaks",
  "server/e2e/recovery-model",
].map((name) => `/test/${name}.test.ts`);

/** Runs the longest files first: one that starts last would run alone while the other cores have nothing to do. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = LONGEST.findIndex((name) => moduleId.endsWith(name));
      return index === -1 ? LONGEST.length : index;
    };
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}
