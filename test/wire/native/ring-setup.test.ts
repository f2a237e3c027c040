import { execFile } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { missingUring } from "./availability.ts";

const IO_URING_SETUP = 425;
const IO_URING_REGISTER = 427;
const { EPERM, ENOSYS } = constants.errno;

const program = fileURLToPath(new URL("programs/refused-call.ts", import.meta.url));

describe.skipIf(missingUring !== undefined)("why there is no ring", () => {
  it.each([
    [IO_URING_SETUP, EPERM, /^io_uring is forbidden here: [^\n]+\n$/],
    [IO_URING_SETUP, ENOSYS, /^this kernel has no io_uring, or a sandbox .+ hides it: [^\n]+\n$/],
    [IO_URING_REGISTER, EPERM, /^io_uring is forbidden here: [^\n]+\n$/],
    [IO_URING_REGISTER, ENOSYS, /^this kernel has no io_uring, or a sandbox .+ hides it: [^\n]+\n$/],
  ])("is that system call %i is refused with error %i", async (call, error, reason) => {
    const { stdout } = await promisify(execFile)(process.execPath, [program, String(call), String(error)]);
    expect(stdout).toMatch(reason);
  });
});
