/** All conformance cases, by category. `hold.ts` plays them. */
import type { Category } from "../case.ts";
import { closings } from "./closing.ts";
import { compressedFrames, compressedMessages, compressionWindows } from "./compression.ts";
import { fragmentation } from "./fragmentation.ts";
import { framing } from "./framing.ts";
import { limits } from "./limits.ts";
import { pings } from "./pings.ts";
import { reservedBits, reservedOpcodes } from "./reserved.ts";
import { invalidText, textFailsFast, validText } from "./utf8.ts";

export const categories: readonly Category[] = [
  { name: "framing", cases: framing },
  { name: "pings and pongs", cases: pings },
  { name: "reserved bits", cases: reservedBits },
  { name: "reserved opcodes", cases: reservedOpcodes },
  { name: "fragmentation", cases: fragmentation },
  { name: "valid text", cases: validText },
  { name: "invalid text", cases: invalidText },
  { name: "failing fast on text", cases: textFailsFast },
  { name: "close frames", cases: closings },
  { name: "limits", cases: limits },
  { name: "compressed messages", cases: compressedMessages },
  { name: "compression windows", cases: compressionWindows },
  { name: "compressed frames", cases: compressedFrames },
];
