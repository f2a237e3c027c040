/** The fuzzer: mutates sessions and compares both decoders. Used by the command and by `codec.test.ts`. */
import { Coverage } from "./coverage.ts";
import { generate } from "./generate.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import type { Session } from "./session.ts";
import { type Judgement, judge } from "./verdict.ts";

/** A session on which the decoders disagree or throw. */
export interface Finding {
  readonly session: Session;
  readonly judgement?: Judgement;
  /** The exception, if a decoder threw one. None may. */
  readonly thrown?: unknown;
}

export interface FuzzResult {
  readonly runs: number;
  /** Number of sessions kept because they reached something new. */
  readonly corpus: number;
  /** Number of pairs of a block of the codec and its count that were reached. */
  readonly features: number;
  /** Number of sessions per known difference. */
  readonly differences: ReadonlyMap<string, number>;
  readonly findings: readonly Finding[];
}

export interface FuzzOptions {
  readonly seed: number;
  readonly seconds: number;
  /** Number of findings that ends the search. Default: 1. */
  readonly maxFindings?: number;
  /**
   * True to leave out sessions with context takeover. After a mistake in one, ws goes wrong in more ways than the known
   * ones. Default: false.
   */
  readonly withoutContext?: boolean;
  readonly progress?: (result: FuzzResult) => void;
}

const CORPUS_AT_FIRST = 100;
const PROGRESS_MS = 5_000;
/**
 * Length of a cycle in ms. The first part of a cycle looks for sessions that reach something new; the rest tries many
 * sessions near those.
 */
const CYCLE_MS = 10_000;
const EXPLORING_MS = 4_000;
/** Percentage of newly generated sessions, so that not all descend from the same few. */
const FRESH_OF_100 = 10;

/** Mutates sessions, keeps those that reach new code, and compares both decoders on each. */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { seed, seconds, maxFindings = 1, withoutContext = false, progress } = options;
  const random = new Random(seed);
  const coverage = new Coverage(/\/src\/wire\/protocol\//);
  const known = new Set<string>();
  const corpus: Session[] = [];
  const differences = new Map<string, number>();
  const findings: Finding[] = [];
  const start = performance.now();
  const end = start + seconds * 1_000;
  let nextProgress = performance.now() + PROGRESS_MS;
  let runs = 0;
  const result = (): FuzzResult => ({ runs, corpus: corpus.length, features: known.size, differences, findings });
  while (performance.now() < end && findings.length < maxFindings) {
    coverage.counting = (performance.now() - start) % CYCLE_MS < EXPLORING_MS;
    const session =
      runs < CORPUS_AT_FIRST || random.below(100) < FRESH_OF_100
        ? generate(random)
        : mutate(random.pick(corpus), random.pick(corpus), random);
    if (withoutContext && session.agreement === "context") continue;
    runs++;
    try {
      const judgement = await judge(session);
      if (!judgement.agrees) findings.push({ session, judgement });
      const { because } = judgement;
      if (because !== undefined) differences.set(because, (differences.get(because) ?? 0) + 1);
    } catch (thrown) {
      findings.push({ session, thrown });
    }
    const before = known.size;
    for (const feature of coverage.take()) known.add(feature);
    if (known.size > before || corpus.length === 0) corpus.push(session);
    if (performance.now() < nextProgress) continue;
    nextProgress += PROGRESS_MS;
    progress?.(result());
  }
  coverage.stop();
  return result();
}
