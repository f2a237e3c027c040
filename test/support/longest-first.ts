/** The order of the test files, see `vitest.config.ts`. */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take long although they are small: vitest begins with the largest files. The longest comes first. */
const LONGEST = [
  "fault/attacks",
  "conformance/tls-server",
  "conformance/relay-server",
  "conformance/client",
  "conformance/shard-server",
  "conformance/plain-server",
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
