import { parseArgs } from "node:util";
import { UsageError } from "../src/cli/usage-error.ts";
import { type Contestant, strangerOf } from "./contestants.ts";

export const HELP = `Usage: npm run bench -- [flags]

Puts servers in processes of their own under the same load, in turns, and writes a table, a page with charts, a picture and a JSON file.

  --full                   all scenarios, 7 rounds of 4 seconds
  --list                   names the scenarios and who takes part, and runs none
  --scenario ID            only this scenario; may be repeated
  --contestant ID          only this one, or another situation of ours; may be repeated
  --peer NAME="COMMAND"    one more contestant, or another way to start one: it is given --port P --mode echo|fanout, and prints "listening on P"
  --rounds N               default 3
  --seconds S --warmup S   of each run; default 1 and 0.6
  --connections N          instead of a scenario's own
  --json FILE --html FILE --svg FILE   default: bench/results/<date>
  --help                   this
`;

export interface BenchFlags {
  readonly help: boolean;
  readonly list: boolean;
  readonly full: boolean;
  readonly scenarios: readonly string[] | undefined;
  readonly contestants: readonly string[] | undefined;
  readonly strangers: readonly Contestant[];
  readonly rounds: number;
  readonly seconds: number;
  readonly warmup: number;
  readonly connections: number | undefined;
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly svg: string | undefined;
}

/** Throws a UsageError for what makes no sense. */
export function parseFlags(args: readonly string[]): BenchFlags {
  const values = parse(args);
  const { full, json, html, svg } = values;
  const number = (flag: "rounds" | "seconds" | "warmup" | "connections", whole: boolean): number | undefined => {
    const text = values[flag];
    if (text === undefined) return undefined;
    const value = Number(text);
    if (value > 0 && (!whole || Number.isSafeInteger(value))) return value;
    throw new UsageError(`--${flag} takes a ${whole ? "whole " : ""}number above 0, got ${text}`);
  };
  return {
    ...{ help: values.help, list: values.list, full, json, html, svg },
    scenarios: values.scenario,
    contestants: values.contestant,
    strangers: values.peer.map(stranger),
    rounds: number("rounds", true) ?? (full ? 7 : 3),
    seconds: number("seconds", false) ?? (full ? 4 : 1),
    warmup: number("warmup", false) ?? (full ? 2 : 0.6),
    connections: number("connections", true),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: { type: "boolean", default: false },
        list: { type: "boolean", default: false },
        full: { type: "boolean", default: false },
        scenario: { type: "string", multiple: true },
        contestant: { type: "string", multiple: true },
        rounds: { type: "string" },
        seconds: { type: "string" },
        warmup: { type: "string" },
        connections: { type: "string" },
        peer: { type: "string", multiple: true, default: [] },
        json: { type: "string" },
        html: { type: "string" },
        svg: { type: "string" },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split(". ")[0]}; npm run bench -- --help lists the flags`);
  }
}

function stranger(text: string): Contestant {
  try {
    return strangerOf(text);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
