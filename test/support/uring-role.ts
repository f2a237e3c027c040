/**
 * Gives every board of a test file `sockets: "uring"`, unless the test chooses otherwise. A setup file of
 * `npm run test:uring`.
 */
import { Switchboard } from "../../src/index.ts";

const start = Switchboard.start;
Switchboard.start = (options) => start.call(Switchboard, { sockets: "uring", ...options });
