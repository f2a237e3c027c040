import { parseArgs } from "node:util";
import { MAX_PUBLISHERS, MIN_PUBLISHED_BYTES } from "../load/payload.ts";
import { type LoadSettings, SCENARIOS, type Scenario } from "../load/settings.ts";
import { UsageError } from "./usage-error.ts";

export const BENCH_HELP = `Usage: switchboard bench <url> [flags]

Puts a load on a WebSocket server (ws: or wss:) and measures how it does.

  --scenario NAME     echo: send, check the reply, send again (the default)
                      fanout: publishers send, the server sends each message to all other connections
                      storm: open a connection, get one echo, close, over and over
                      idle: open connections and hold them
  --connections N     connections; in a storm, how many at a time (100)
  --inflight N        messages that wait for their reply, for each connection that sends (1)
  --rate N            messages per second over all connections, whatever the server does;
                      latency counts from when a message should have been sent
  --bytes N           length of a message (20)
  --text              text messages (binary ones)
  --duration SECONDS  time that counts (5)
  --warmup SECONDS    time before it that doesn't; idle: pause after each step (1)
  --threads N         threads that make the load (1)
  --publishers N      fanout: connections that send (1)
  --step N            idle: connections to open before each pause (a tenth)
  --greeting N        messages that a connection gets before it sends, not checked (0)
  --header "NAME: VALUE"  a header for the opening requests; may be repeated
  --compress          offer permessage-deflate and compress messages
  --insecure          take any certificate
  --json              events and the report as lines of JSON, with all counts of the latencies
  --help              this

Ends with 0; with 1 when replies were lost or wrong or connections failed; with 2 for flags that make no sense;
with 3 when the load itself was too slow to keep the --rate.
`;

const flags = {
  scenario: { type: "string" as const, default: "echo" },
  connections: { type: "string" as const, default: "100" },
  inflight: { type: "string" as const },
  rate: { type: "string" as const },
  bytes: { type: "string" as const, default: "20" },
  text: { type: "boolean" as const, default: false },
  duration: { type: "string" as const, default: "5" },
  warmup: { type: "string" as const, default: "1" },
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
/** In a fan-out every message in flight has a place in shared memory. */
const MAX_IN_FLIGHT = 1024 * 1024;
/** Headers of the handshake itself. */
const RESERVED = /^(host|connection|upgrade|content-length|transfer-encoding|sec-websocket-(?!protocol).*)$/i;
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;

/** What the command line asks for; undefined for help. Throws a UsageError for what makes no sense. */
export function parseBenchFlags(
  args: readonly string[],
): { readonly settings: LoadSettings; readonly json: boolean } | undefined {
  const { values, positionals } = parse(args);
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
    duration: number("duration", values.duration, 0.001, 1e6),
    warmup: number("warmup", values.warmup, 0, 1e6),
    compress: values.compress,
    insecure: values.insecure,
    greeting: integer("greeting", values.greeting, 0, 1_000_000),
    publishers: integer("publishers", values.publishers, 1, MAX_PUBLISHERS),
    step: integer("step", values.step ?? String(Math.ceil(connections / 10)), 1, 1_000_000),
    headers: values.header.map(checkHeader),
  };
  checkTogether(settings, values.inflight !== undefined);
  return { settings, json: values.json };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: flags, allowPositionals: true });
  } catch (error) {
    const name = /'(?:-\w, )?(-[^' =]*)/.exec(String(error))?.[1] ?? "that";
    if (!(error instanceof Error && "code" in error)) throw error;
    if (error.code === "ERR_PARSE_ARGS_UNKNOWN_OPTION") {
      throw new UsageError(`bench has no flag ${name}; switchboard bench --help lists them`);
    }
    throw new UsageError(`${error.message.split(".")[0]}; switchboard bench --help says more`);
  }
}

function checkTogether(settings: LoadSettings, hasInflight: boolean): void {
  const { scenario, rate, inflight, connections, publishers, bytes, threads } = settings;
  if (rate !== undefined && hasInflight) {
    throw new UsageError("write --rate for an open loop or --inflight for a closed one, not both");
  }
  if (rate !== undefined && (scenario === "storm" || scenario === "idle")) {
    throw new UsageError(`--rate is for echo and fanout, not for ${scenario}`);
  }
  if (threads > connections) throw new UsageError(`--threads takes at most the ${connections} of --connections`);
  if (scenario !== "fanout") return;
  if (connections < 2) throw new UsageError("fanout needs --connections of 2 or more: one sends, another receives");
  if (publishers > connections) throw new UsageError(`--publishers takes at most the ${connections} of --connections`);
  if (publishers * inflight > MAX_IN_FLIGHT) {
    throw new UsageError(`--publishers times --inflight may be ${MAX_IN_FLIGHT} at most`);
  }
  if (bytes < MIN_PUBLISHED_BYTES) {
    throw new UsageError(`fanout needs --bytes of ${MIN_PUBLISHED_BYTES} or more, for a message says who sent it`);
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
  if (RESERVED.test(name)) throw new UsageError(`--header can't set ${name}: it is the handshake's own`);
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
