/** The flags of `npm run bench`: their help text and their check. Used by `run.ts`. */
import { parseArgs } from "node:util";
import { customServer, FLOOR, OURS, OURS_OVER_URING, type TestedServer, URING_FLOOR } from "./servers.ts";
import { URING_THRESHOLDS } from "./thresholds.ts";
import { UsageError } from "./usage-error.ts";

export const HELP = `Usage: npm run bench -- [flags]

Puts the same load on several WebSocket servers, in turns, and writes a table, a page with charts, a picture and a JSON file.

  --full                   all scenarios, 3 rounds, 4 seconds for each run in a process of its own
  --bars                   the scenarios and servers that io_uring is measured against, 2 rounds; also writes Markdown tables
  --list                   list the scenarios and the servers of each, and run none
  --scenario ID            run only this scenario; may be repeated
  --server ID              run only this server, or this variant of Switchboard; may be repeated
  --custom-server NAME="COMMAND"
                           add a server, or start a known server by another command; the command
                           gets --port P --mode echo|fanout, and must print "listening on P"
  --rounds N               times that each scenario starts its servers afresh; default 1
  --slices N --slice S     slices of each server in a round, and seconds of a slice; default 15 and 0.3
  --seconds S              counted time of a run where each run has a process of its own; default 1
  --warmup S               warm-up in seconds, in slices of the server's CPU; default: each scenario's own
  --connections N          number of connections, in place of each scenario's own
  --json FILE --html FILE --svg FILE --markdown FILE   default: bench/results/<date>
  --help                   show this text
`;

export interface BenchFlags {
  readonly help: boolean;
  readonly list: boolean;
  readonly full: boolean;
  /** True for the scenarios of `URING_THRESHOLDS`, and a Markdown table. */
  readonly bars: boolean;
  /** Ids of scenarios. undefined: not given, as for the other optional flags. */
  readonly scenarios: readonly string[] | undefined;
  /** Ids of servers or variants. */
  readonly servers: readonly string[] | undefined;
  readonly customServers: readonly TestedServer[];
  readonly rounds: number;
  /** Slices of each server in a round. */
  readonly slices: number;
  /** Length of a slice, in seconds. */
  readonly slice: number;
  /** Counted time of a run in a process of its own, in seconds. */
  readonly seconds: number;
  /** Warm-up in seconds: see `Scenario.warmupSeconds`. undefined: each scenario's own. */
  readonly warmup: number | undefined;
  readonly connections: number | undefined;
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly svg: string | undefined;
  readonly markdown: string | undefined;
}

/** Parses the flags and fills in the defaults. Throws a `UsageError` for an unknown flag or an invalid value. */
export function parseFlags(args: readonly string[]): BenchFlags {
  const values = parse(args);
  const { help, list, full, bars, json, html, svg, markdown } = values;
  const number = (
    flag: "rounds" | "slices" | "slice" | "seconds" | "warmup" | "connections",
    whole: boolean,
  ): number | undefined => {
    const text = values[flag];
    if (text === undefined) return undefined;
    const value = Number(text);
    if (value > 0 && (!whole || Number.isSafeInteger(value))) return value;
    throw new UsageError(`--${flag} takes a ${whole ? "whole " : ""}number above 0, got ${text}`);
  };
  return {
    help,
    list,
    full,
    bars,
    json,
    html,
    svg,
    markdown,
    scenarios: values.scenario ?? (bars ? [...new Set(URING_THRESHOLDS.map(({ scenario }) => scenario))] : undefined),
    servers:
      values.server ?? (bars ? [OURS, OURS_OVER_URING, "bun", "uwebsockets", "ws", FLOOR, URING_FLOOR] : undefined),
    customServers: values["custom-server"].map(customServer),
    rounds: number("rounds", true) ?? (full ? 3 : bars ? 2 : 1),
    slices: number("slices", true) ?? 15,
    slice: number("slice", false) ?? 0.3,
    seconds: number("seconds", false) ?? (full ? 4 : 1),
    warmup: number("warmup", false),
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
        bars: { type: "boolean", default: false },
        scenario: { type: "string", multiple: true },
        server: { type: "string", multiple: true },
        rounds: { type: "string" },
        slices: { type: "string" },
        slice: { type: "string" },
        seconds: { type: "string" },
        warmup: { type: "string" },
        connections: { type: "string" },
        "custom-server": { type: "string", multiple: true, default: [] },
        json: { type: "string" },
        html: { type: "string" },
        svg: { type: "string" },
        markdown: { type: "string" },
      },
    }).values;
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split(". ")[0]}; npm run bench -- --help lists the flags`);
  }
}
