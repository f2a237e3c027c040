/** Block coverage by V8, which guides the fuzzer. */
import type { Profiler } from "node:inspector";
import { Session } from "node:inspector";

/**
 * V8's coverage of the code under test: which blocks ran, and about how often. A reading is cheap enough for each run,
 * but code runs at a third of its speed while V8 counts.
 */
export class Coverage {
  readonly #session = new Session();
  readonly #files: RegExp;
  #counting = false;

  /** @param files matches the URLs of the code under test, which may be loaded before or after */
  constructor(files: RegExp) {
    this.#files = files;
    this.#session.connect();
    this.#session.post("Profiler.enable");
  }

  get counting(): boolean {
    return this.#counting;
  }

  /** Starts or stops the counting. */
  set counting(wanted: boolean) {
    if (wanted === this.#counting) return;
    this.#counting = wanted;
    if (wanted) this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
    else this.#session.post("Profiler.stopPreciseCoverage");
  }

  /** Blocks that ran since the last call. Each is named with the number of bits of its count. */
  take(): string[] {
    const features: string[] = [];
    if (!this.#counting) return features;
    // V8 answers synchronously.
    this.#session.post("Profiler.takePreciseCoverage", (_error, coverage) => {
      for (const script of coverage?.result ?? []) {
        if (this.#files.test(script.url)) features.push(...blocks(script));
      }
    });
    return features;
  }

  stop(): void {
    this.#session.disconnect();
  }
}

function blocks({ scriptId, functions }: Profiler.ScriptCoverage): string[] {
  return functions.flatMap(({ ranges }) =>
    ranges
      .filter(({ count }) => count > 0)
      .map(({ startOffset, endOffset, count }) => `${scriptId}:${startOffset}-${endOffset}:${32 - Math.clz32(count)}`),
  );
}
