/** The tests of `npm run test:uring`: all that start boards, over io_uring. */
import { mergeConfig } from "vitest/config";
import base from "../vitest.config.ts";

const { test } = base;

export default mergeConfig(
  { ...base, test: { ...test, include: [] } },
  {
    test: {
      include: ["test/{board,e2e,conformance,fault}/**/*.test.ts"],
      setupFiles: ["test/support/uring-role.ts"],
    },
  },
);
