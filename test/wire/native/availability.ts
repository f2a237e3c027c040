/** Whether C functions and io_uring are there, for the tests that need them. */
import { it } from "vitest";
import { whyNoLibc } from "../../../src/wire/native/libc.ts";
import { whyNoUring } from "../../../src/wire/native/ring.ts";

/** Why C functions can't be called here; undefined if they can. A skipped test then has the reason as its name. */
export const missingLibc: string | undefined = whyNoLibc();

/** Why there is no io_uring here; undefined if there is. */
export const missingUring: string | undefined = whyNoUring();

const missing = missingLibc ?? missingUring;
if (missing !== undefined) it.skipIf(true)(`can't run here: ${missing}`, () => {});
