/**
 * Gives every board `sockets: "uring"`, unless a test chooses otherwise: in the process of a test file, as a setup file of
 * `npm run test:uring`, and in the processes that the test starts, as a module that Node loads first.
 */
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  const { Switchboard } = await import("../../src/index.ts");
  const start = Switchboard.start;
  Switchboard.start = (options) => start.call(Switchboard, { sockets: "uring", ...options });
  const self = new URL("uring-role.ts", import.meta.url).href;
  // Tests look at what their processes say.
  process.env["NODE_OPTIONS"] = `--import=${self} --disable-warning=SWITCHBOARD_URING`;
}
