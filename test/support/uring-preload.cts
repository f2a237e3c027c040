/**
 * Loads the role of `npm run test:uring` in the processes that a test starts, before their program. Threads don't need
 * the role. A module of CommonJS, because a thread of a process with `--input-type` refuses an import of NODE_OPTIONS.
 */
const { isMainThread } = require("node:worker_threads");

if (isMainThread) require("./uring-role.ts");
