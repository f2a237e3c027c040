/** The tests of `npm run test:uring`: all that start boards, over io_uring. */
import { mergeConfig } from "vitest/config";
import base from "../vitest.config.ts";

const { projects: _, ...test } = base.test ?? {};

/** Tests that can't run over io_uring, with the reason. */
const EXCLUDED = {
  "test/e2e/loaders.test.ts":
    "compares what Node prints under other loaders, and the role is a module that is loaded first",
  "test/board/switchboard/uring-process.test.ts":
    "chooses io_uring itself, and looks at the warning that the role hides",
};
for (const [file, reason] of Object.entries(EXCLUDED)) console.log(`not over io_uring: ${file} (${reason})`);

export default mergeConfig(
  { ...base, test },
  {
    test: {
      include: ["test/{board,e2e,conformance,fault,server}/**/*.test.ts"],
      exclude: Object.keys(EXCLUDED),
      setupFiles: ["test/support/uring-role.ts"],
    },
  },
);
