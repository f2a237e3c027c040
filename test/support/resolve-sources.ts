/**
 * Leads imports of the built sources to what `build-sources.ts` has built, and resolves imports between the other
 * sources without a look at the disk. Preloaded into every thread and program that tests start, see `vitest.config.ts`.
 * The sources that a test itself imports are loaded by Vitest.
 */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

const root = new URL("../../", import.meta.url).href;
const packages = `${root}node_modules/`;
const target = `${packages}.cache/built/`;
/** URLs of sources, with those of the built files. */
const built: Record<string, string> = JSON.parse(readFileSync(new URL("built.json", target), "utf8"));

registerHooks({
  resolve(specifier, context, nextResolve) {
    const { parentURL = "" } = context;
    if (specifier.startsWith(".")) {
      const href = URL.parse(specifier, parentURL)?.href ?? "";
      const url = built[href];
      if (url !== undefined) return { url, format: "module", shortCircuit: true };
      // Node would ask the disk whether the file is there, whether it is a link, and which package.json holds for it.
      if (parentURL.startsWith(target)) return { url: href, format: "module", shortCircuit: true };
      const isSource = parentURL.startsWith(root) && !parentURL.startsWith(packages) && specifier.endsWith(".ts");
      if (isSource) return { url: href, format: "module-typescript", shortCircuit: true };
    }
    // Threads and programs are named by their path or URL, and an actor's URL may have parameters.
    const [file = "", ...search] = specifier.split("?");
    const url = built[file.startsWith("/") ? pathToFileURL(file).href : file];
    if (url !== undefined) return { url: [url, ...search].join("?"), format: "module", shortCircuit: true };
    return nextResolve(specifier, context);
  },
});
