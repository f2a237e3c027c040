/**
 * Resolves imports between our own sources without a look at the disk. Preloaded into every thread and program that
 * tests start, see `vitest.config.ts`.
 */
import { registerHooks } from "node:module";

const root = new URL("../../", import.meta.url).href;
const packages = `${root}node_modules/`;

// Node asks the disk several times for each import: whether the file is there, whether it is a link, and which
// package.json holds for it. A shard imports 250 files, and half the CPU time of its start went into these questions.
registerHooks({
  resolve(specifier, context, nextResolve) {
    const parent = context.parentURL;
    const ours = parent?.startsWith(root) && !parent.startsWith(packages);
    if (ours && specifier.startsWith(".") && specifier.endsWith(".ts")) {
      return { url: new URL(specifier, parent).href, format: "module-typescript", shortCircuit: true };
    }
    return nextResolve(specifier, context);
  },
});
