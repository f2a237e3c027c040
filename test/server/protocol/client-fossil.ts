/** The function with which the official JavaScript client applies deltas. The package doesn't export it. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const path = createRequire(import.meta.url).resolve("centrifuge");
const source = readFileSync(path, "utf8");
const start = source.indexOf("const zValue = [");
const end = source.indexOf("/** @internal */", start);
if (start < 0 || end < 0) throw new Error(`no Fossil code in ${path}`);

/** Applies a delta, or throws if it is malformed or doesn't fit. */
export const applyDelta = new Function(`${source.slice(start, end)}; return applyDelta;`)() as (
  source: Uint8Array,
  delta: Uint8Array,
) => Uint8Array;
