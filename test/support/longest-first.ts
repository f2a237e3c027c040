/** The order of the test files, see `vitest.config.ts`. */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Small files that take long, the longest first. Of all others, the largest files run first. */
const LONGEST = [
  "fault/attacks",
  "conformance/tls-server",
  "conformance/relay-server",
  "conformance/client",
  "conformance/shard-server",
  "conformance/plain-server",
].map((name) => `/test/${name}.test.ts`);

/** Begins with files that take long: one that starts last would run alone while the other cores have nothing to do. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = LONGEST.findIndex((name) => moduleId.endsWith(name));
      return index === -1 ? LONGEST.length : index;
    };
    return (await super.sort(files)).sort((one, other) => rank(one) - rank(other));
  }
}
