/** The flags of `npm run bench`: their help text and their check. Used by `run.ts`. */
import { parseArgs } from "node:util";
import { customServer, OURS, OURS_OVER_URING, type TestedServer } from "./servers.ts";
import { URING_THRESHOLDS } from "./thresholds.ts";
import { UsageError } from "./usage-error.ts";

export const HELP = `Usage: npm run bench -- [flags]

Puts the same load on several WebSocket servers, in turns, and writes a table, a page with charts, a picture and a JSON file.

  --full                   all scenarios, 7 rounds of 4 seconds
  --bars                   the scenarios and servers that io_uring is measured against, 5 rounds of 0.5 seconds; also writes Markdown tables
  --list                   list the scenarios and the servers of each, and run none
  --scenario ID            run only this scenario; may be repeated
  --server ID              run only this server, or this variant of Switchboard; may be repeated
  --custom-server NAME="COMMAND"
                           add a server, or start a known server by another command; the command
                           gets --port P --mode echo|fanout, and must print "listening on P"
  --rounds N               rounds of each scenario; default 3
  --seconds S --warmup S   counted time of each run, and time before it; default 1 and 0.6
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
  /** Counted time of each run, in seconds. */
  readonly seconds: number;
  /** Time before the counted time, in seconds. */
  readonly warmup: number;
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
  const number = (flag: "rounds" | "seconds" | "warmup" | "connections", whole: boolean): number | undefined => {
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
    servers: values.server ?? (bars ? [OURS, OURS_OVER_URING, "bun", "uwebsockets", "ws", "epoll"] : undefined),
    customServers: values["custom-server"].map(customServer),
    rounds: number("rounds", true) ?? (full ? 7 : bars ? 5 : 3),
    seconds: number("seconds", false) ?? (full ? 4 : bars ? 0.5 : 1),
    warmup: number("warmup", false) ?? (full ? 2 : bars ? 0.5 : 0.6),
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
