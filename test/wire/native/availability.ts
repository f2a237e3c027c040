/** Whether C functions can be called here, for the tests that need them. */
import { it } from "vitest";
import { whyNoLibc } from "../../../src/wire/native/libc.ts";

/** Why C functions can't be called here; undefined if they can. A skipped test then has the reason as its name. */
export const missingLibc: string | undefined = whyNoLibc();

if (missingLibc !== undefined) it.skipIf(true)(`C functions can't be called here: ${missingLibc}`, () => {});
