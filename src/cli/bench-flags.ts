/** The flags of `switchboard bench`: the help text, and their check. */
import { MAX_PUBLISHERS, MIN_PUBLISHED_BYTES } from "../load/payload.ts";
import { type LoadSettings, SCENARIOS, type Scenario } from "../load/settings.ts";
import { parseFlags } from "./parse-flags.ts";
import { UsageError } from "./usage-error.ts";

export const BENCH_HELP = `Usage: switchboard bench <url> [flags]

Puts a load on a WebSocket server (ws: or wss:) and measures it.

  --scenario NAME     echo: send, check the reply, send again (the default)
                      fanout: publishers send, the server sends each message to all other connections
                      storm: open a connection, get one echo, close, over and over
                      idle: open connections and hold them
  --connections N     number of connections; storm: number at a time (100)
  --inflight N        closed loop: messages per sending connection that wait for their reply (1)
  --rate N            open loop: messages per second over all connections, whatever the server does;
                      latency counts from the time at which a message should have been sent
  --bytes N           length of a message in bytes (20)
  --text              send text messages (binary)
  --total N           storm: ends after N connections, not after a time
  --duration SECONDS  counted time (5)
  --warmup SECONDS    time before the counted time; idle: pause after each step (1)
  --slices            count in slices, to compare servers in turns: the line "go" on standard input begins one, "stop"
                      ends it; prints the report of each as a line of JSON, with "event": "slice"
  --threads N         threads that make the load (1)
  --publishers N      fanout: number of connections that send (1)
  --step N            idle: connections to open before each pause (a tenth)
  --greeting N        messages that the server sends first on each connection, not checked (0)
  --header "NAME: VALUE"  header to add to the opening requests; may be repeated
  --compress          offer permessage-deflate and compress messages
  --insecure          accept any certificate
  --json              print events and the report as lines of JSON, with all latency counts
  --help              show this help

Exit code: 0 on success; 1 when replies were lost or wrong, or when connections failed; 2 for invalid flags;
3 when the load itself was too slow for the --rate.
`;

const flags = {
  scenario: { type: "string" as const, default: "echo" },
  connections: { type: "string" as const, default: "100" },
  inflight: { type: "string" as const },
  rate: { type: "string" as const },
  bytes: { type: "string" as const, default: "20" },
  text: { type: "boolean" as const, default: false },
  total: { type: "string" as const },
  duration: { type: "string" as const },
  warmup: { type: "string" as const },
  slices: { type: "boolean" as const, default: false },
  threads: { type: "string" as const, default: "1" },
  publishers: { type: "string" as const, default: "1" },
  step: { type: "string" as const },
  greeting: { type: "string" as const, default: "0" },
  header: { type: "string" as const, multiple: true as const, default: [] as string[] },
  compress: { type: "boolean" as const, default: false },
  insecure: { type: "boolean" as const, default: false },
  json: { type: "boolean" as const, default: false },
  help: { type: "boolean" as const, default: false },
};

const MAX_BYTES = 64 * 1024 * 1024;
/** Largest number of connections in a storm that ends after a number. */
const MAX_TOTAL = 1e9;
/** Largest number of messages in flight in a fan-out, where each has a slot in shared memory. */
const MAX_IN_FLIGHT = 1024 * 1024;
/** Names of headers that the handshake itself sets. */
const RESERVED = /^(host|connection|upgrade|content-length|transfer-encoding|sec-websocket-(?!protocol).*)$/i;
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;

/** Reads the command line. Returns undefined for `--help`. Throws a UsageError for an invalid command line. */
export function parseBenchFlags(
  args: readonly string[],
): { readonly settings: LoadSettings; readonly json: boolean; readonly slices: boolean } | undefined {
  const { values, positionals } = parseFlags("bench", args, flags);
  if (values.help) return undefined;
  const [url, ...more] = positionals;
  if (url === undefined) throw new UsageError("bench takes the URL of a server, such as ws://localhost:8080/chat");
  if (more.length > 0) throw new UsageError(`bench takes one URL; ${more[0]} is one too many`);
  const connections = integer("connections", values.connections, 1, 1_000_000);
  const settings: LoadSettings = {
    url: checkUrl(url),
    scenario: checkScenario(values.scenario),
    connections,
    threads: integer("threads", values.threads, 1, 256),
    inflight: integer("inflight", values.inflight ?? "1", 1, 65_536),
    rate: values.rate === undefined ? undefined : number("rate", values.rate, 0.001, 1e9),
    bytes: integer("bytes", values.bytes, 0, MAX_BYTES),
    text: values.text,
    total: values.total === undefined ? undefined : integer("total", values.total, 1, MAX_TOTAL),
    duration: number("duration", values.duration ?? "5", 0.001, 1e6),
    warmup: number("warmup", values.warmup ?? (values.total === undefined ? "1" : "0"), 0, 1e6),
    compress: values.compress,
    insecure: values.insecure,
    greeting: integer("greeting", values.greeting, 0, 1_000_000),
    publishers: integer("publishers", values.publishers, 1, MAX_PUBLISHERS),
    step: integer("step", values.step ?? String(Math.ceil(connections / 10)), 1, 1_000_000),
    headers: values.header.map(checkHeader),
  };
  if (values.total !== undefined && (values.duration !== undefined || values.warmup !== undefined)) {
    throw new UsageError("--total counts all connections: leave out --duration and --warmup");
  }
  if (values.slices) {
    const excluded = (["duration", "warmup", "total"] as const).find((flag) => values[flag] !== undefined);
    if (excluded !== undefined) throw new UsageError(`--slices end when told to: leave out --${excluded}`);
    if (settings.scenario === "idle") throw new UsageError("--slices are for echo, fanout and storm, not for idle");
  }
  checkTogether(settings, values.inflight !== undefined);
  return { settings, json: values.json || values.slices, slices: values.slices };
}

/** Checks flags that depend on each other. */
function checkTogether(settings: LoadSettings, hasInflight: boolean): void {
  const { scenario, rate, inflight, connections, publishers, bytes, threads, total } = settings;
  if (rate !== undefined && hasInflight) {
    throw new UsageError("write --rate for an open loop or --inflight for a closed one, not both");
  }
  if (rate !== undefined && (scenario === "storm" || scenario === "idle")) {
    throw new UsageError(`--rate is for echo and fanout, not for ${scenario}`);
  }
  if (total !== undefined && scenario !== "storm") throw new UsageError(`--total is for storm, not for ${scenario}`);
  if (total !== undefined && threads > total) throw new UsageError(`--threads takes at most the ${total} of --total`);
  if (threads > connections) throw new UsageError(`--threads takes at most the ${connections} of --connections`);
  if (scenario !== "fanout") return;
  if (connections < 2) throw new UsageError("fanout needs --connections of 2 or more: one sends, another receives");
  if (publishers > connections) throw new UsageError(`--publishers takes at most the ${connections} of --connections`);
  if (publishers * inflight > MAX_IN_FLIGHT) {
    throw new UsageError(`--publishers times --inflight may be at most ${MAX_IN_FLIGHT}`);
  }
  if (bytes < MIN_PUBLISHED_BYTES) {
    throw new UsageError(`fanout needs --bytes of ${MIN_PUBLISHED_BYTES} or more: a message names its publisher`);
  }
}

function checkUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "ws:" && url.protocol !== "wss:") || url.hash !== "") {
    throw new UsageError(`bench takes a ws: or wss: URL such as ws://localhost:8080/chat, not ${text}`);
  }
  return text;
}

function checkScenario(name: string): Scenario {
  const scenario = SCENARIOS.find((one) => one === name);
  if (scenario === undefined) throw new UsageError(`--scenario takes ${SCENARIOS.join(", ")}, not ${name}`);
  return scenario;
}

function checkHeader(text: string): readonly [string, string] {
  const [, name = "", value = ""] = HEADER.exec(text) ?? [];
  if (name === "") throw new UsageError(`--header takes "Name: value", not ${JSON.stringify(text)}`);
  if (RESERVED.test(name)) throw new UsageError(`--header can't set ${name}, which the handshake sets`);
  return [name, value];
}

function integer(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new UsageError(`--${flag} takes a whole number from ${least} to ${most}, not ${JSON.stringify(text)}`);
}

function number(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= least && value <= most) return value;
  throw new UsageError(`--${flag} takes a number from ${least} to ${most}, not ${JSON.stringify(text)}`);
}
