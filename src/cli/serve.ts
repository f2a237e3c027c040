/** The command `switchboard serve`: the server that backends in any language publish to. */
import type { parseArgs } from "node:util";
import { issueToken } from "../server/auth/issue-token.ts";
import type { ServerConfig } from "../server/config/config.ts";
import { formatFault } from "../server/config/fault.ts";
import { type LoadedConfig, loadConfig, type MadeSecrets } from "../server/config/load.ts";
import { Log } from "../server/serve/log.ts";
import { type RunningServer, startServer } from "../server/serve/server.ts";
import { count, unusedFile } from "./load-config.ts";
import { onNpmShellEnd } from "./npm-shell.ts";
import { parseFlags } from "./parse-flags.ts";
import { Reloads } from "./serve/reloads.ts";
import { shareSecrets } from "./serve/share-secrets.ts";
import { CommandError, UsageError } from "./usage-error.ts";
import { version } from "./version.ts";

const HELP = `Usage: switchboard serve [--config FILE]

Starts the realtime server. Without a config file it makes secrets for this run, and shows them once.
Every key of the config can also be set as a variable: http_server.port is SWITCHBOARD_HTTP_SERVER_PORT.

  --config FILE   the config: see switchboard config init
  --port PORT     port of the clients (http_server.port)
  --address ADDR  address of the clients (http_server.address)
  --watch         reload when the config file changes: for development
  --insecure      let every client do everything, without tokens (client.insecure): for development
  --help          show this help

SIGTERM and SIGINT end it: /health says 503 at once, then clients are closed in batches and come back to other servers.
SIGHUP reloads the config: clients move to new threads and notice nothing.
switchboard run serve replaces the whole process in the same way, for a new version.
Logs go to stderr. Guide: src/guides/serving.md
`;

/** Channel of the lines that show how to publish and receive, and the life of their token in seconds. */
const CHANNEL = "news";
const TOKEN_S = 3_600;

const SIGNALS = ["SIGTERM", "SIGINT"] as const;
const SIGNAL_EXIT = { SIGTERM: 143, SIGINT: 130 } as const;

type HttpServer = ServerConfig["httpServer"];
type Good = LoadedConfig & { readonly kind: "ok" };

/** Runs the command. Resolves with the exit code once the server runs; the server goes on until a signal. */
export async function serve(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseFlags("serve", args, {
    config: { type: "string" },
    port: { type: "string" },
    address: { type: "string" },
    insecure: { type: "boolean" },
    watch: { type: "boolean" },
    help: { type: "boolean" },
  } satisfies NonNullable<Parameters<typeof parseArgs>[0]>["options"]);
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (positionals[0] !== undefined) {
    throw new UsageError(`serve takes no ${positionals[0]}; write a config file as --config ${positionals[0]}`);
  }
  if (values.watch && values.config === undefined)
    throw new UsageError("--watch needs --config FILE: there is no file");
  let made: MadeSecrets | undefined;
  const load = (): Promise<LoadedConfig> =>
    loadConfig({
      file: values.config,
      made,
      env: process.env,
      flags: {
        ...(values.port === undefined ? {} : { "http_server.port": { flag: "--port", value: values.port } }),
        ...(values.address === undefined
          ? {}
          : { "http_server.address": { flag: "--address", value: values.address } }),
        ...(values.insecure ? { "client.insecure": { flag: "--insecure", value: "true" } } : {}),
      },
    });
  let loaded = await load();
  if (loaded.kind === "ok" && loaded.generated.length > 0 && loaded.config.takeover !== "") {
    made = shareSecrets(loaded.config.takeover, loaded.generated);
    loaded = await load();
  }
  if (loaded.kind === "faults") {
    const faults = loaded.faults.map((fault) => formatFault(fault, values.config));
    throw new CommandError(`the config has ${count(faults.length, "fault")}:\n${faults.join("\n")}`);
  }
  const log = new Log(loaded.config.log);
  const unused = unusedFile(values.config);
  if (unused !== undefined) log.warn(`found ${unused}; start with --config ${unused} to use it`);
  for (const warning of loaded.warnings) log.warn(formatFault(warning, values.config));
  logWarningsOfNode(log);
  const starting = start(loaded, log);
  closeOnSignals(starting, log);
  const server = await starting;
  const reloads = new Reloads(server, { file: values.config, load }, log);
  process.on("SIGHUP", () => void reloads.reload("SIGHUP"));
  if (values.watch && values.config !== undefined) reloads.watch(values.config);
  void server.handedOver.then(() => process.exit(0));
  tellStart(loaded, server, log);
  return 0;
}

async function start({ config }: Good, log: Log): Promise<RunningServer> {
  try {
    return await startServer({ config, version: await version(), log });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new CommandError(`can't start: ${error.message}${hintFor(error, config.httpServer)}`);
  }
}

/** Advice for the operator when a port can't be opened. */
function hintFor(error: NodeJS.ErrnoException & { readonly port?: number }, { port, ...own }: HttpServer): string {
  const isInternal = error.port !== undefined && error.port !== port && error.port === own.internalPort;
  switch (error.code) {
    case "EADDRINUSE":
    case "EACCES":
      return `; choose another port with ${isInternal ? "the key http_server.internal_port" : "--port"}`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `; choose an address of this machine with ${isInternal ? "the key http_server.internal_address" : "--address"}`;
    default:
      return "";
  }
}

/** Tells what the server listens on and what is unsafe. Without a config file, also how to begin with it. */
function tellStart({ config, generated }: Good, server: RunningServer, log: Log): void {
  const addresses = addressesOf(config, server);
  const { sockets, shards: all } = server.board.stats();
  const shards = all.length;
  const facts = { shards, sockets: sockets.kind, socketsReason: sockets.reason, engine: config.engine.type };
  if (config.log.format === "json") log.info("listening", { ...addresses, ...facts });
  else process.stdout.write(`${overview(config, addresses, server.board)}\n`);
  if (generated.length > 0) process.stdout.write(`${firstSteps(config, generated, addresses)}\n`);
}

/** The URLs of what is there. */
interface Addresses {
  readonly clients: string;
  readonly api?: string;
  readonly health?: string;
  readonly metrics?: string;
}

function addressesOf(
  { httpServer, websocket, httpApi, health, prometheus }: ServerConfig,
  server: RunningServer,
): Addresses {
  const { tls, internalPort, address, internalAddress } = httpServer;
  const isShared = internalPort === 0;
  const secure = tls === undefined ? "" : "s";
  const clients = `ws${secure}://${hostOf(address)}:${server.address.port}`;
  const internalHost = hostOf(isShared || internalAddress === "" ? address : internalAddress);
  const internal = `http${isShared ? secure : ""}://${internalHost}:${server.internalAddress.port}`;
  return {
    clients: clients + websocket.handlerPrefix,
    ...(httpApi.disabled ? {} : { api: internal + httpApi.handlerPrefix }),
    ...(health.enabled ? { health: internal + health.handlerPrefix } : {}),
    ...(prometheus.enabled ? { metrics: internal + prometheus.handlerPrefix } : {}),
  };
}

/** Host name by which a program on this machine reaches a server that listens on the address. */
function hostOf(address: string): string {
  if (["", "0.0.0.0", "::", "127.0.0.1", "::1"].includes(address)) return "localhost";
  return address.includes(":") ? `[${address}]` : address;
}

function overview({ httpApi, engine }: ServerConfig, addresses: Addresses, board: RunningServer["board"]): string {
  const { sockets, shards: all } = board.stats();
  const shards = all.length;
  const api = httpApi.loopbackOnly ? " (this machine only)" : "";
  const lines = Object.entries(addresses).map(
    ([what, url]) => `  ${what.padEnd(8)} ${url}${what === "api" ? api : ""}`,
  );
  const where = engine.type === "memory" ? "channels are kept in this process" : "channels are kept in Redis";
  lines.push(`  ${"sockets".padEnd(8)} ${sockets.kind} (${sockets.reason})`);
  return [`Switchboard runs with ${shards} ${shards === 1 ? "shard" : "shards"}; ${where}:`, "", ...lines, ""].join(
    "\n",
  );
}

/** The secrets of this run, and the lines that publish and receive. */
function firstSteps(config: ServerConfig, generated: Good["generated"], { clients, api }: Addresses): string {
  const secretOf = (path: (typeof generated)[number]["path"]): string | undefined =>
    generated.find((one) => one.path === path)?.value;
  const secret = secretOf("client.token.hmac_secret_key");
  const key = secretOf("http_api.key");
  const lines = ["The config has no secrets, so these were made for this run:", ""];
  if (key !== undefined) lines.push(`  http_api.key                  ${key}`);
  if (secret !== undefined) lines.push(`  client.token.hmac_secret_key  ${secret}`);
  if (key !== undefined && api !== undefined) {
    const data = `{"channel":"${CHANNEL}","data":{"text":"hello"}}`;
    lines.push("", "Publish:", "", `  curl -H 'X-API-Key: ${key}' -d '${data}' ${api}/publish`);
  }
  if (secret !== undefined) {
    const token = issueToken(config.client.token, { user: "demo", exp: nowSeconds() + TOKEN_S, channels: [CHANNEL] });
    lines.push(
      "",
      `Receive, in JavaScript (npm install centrifuge), with a token for an hour and the channel ${CHANNEL}:`,
      "",
      `  const token = "${token}";`,
      `  const centrifuge = new Centrifuge("${clients}", { token });`,
      '  centrifuge.on("publication", ({ channel, data }) => console.log(channel, data));',
      "  centrifuge.connect();",
    );
  } else if (config.client.insecure) {
    lines.push(
      "",
      "Receive, in JavaScript (npm install centrifuge):",
      "",
      `  const centrifuge = new Centrifuge("${clients}");`,
      `  const ${CHANNEL} = centrifuge.newSubscription("${CHANNEL}");`,
      `  ${CHANNEL}.on("publication", ({ data }) => console.log(data));`,
      `  ${CHANNEL}.subscribe();`,
      "  centrifuge.connect();",
    );
  }
  lines.push(
    "",
    "Secrets that stay: npx switchboard config init, then npx switchboard serve --config switchboard.json",
    "",
  );
  return lines.join("\n");
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}

/** Makes lines of the log of what Node itself would print, so that each line of a JSON log is JSON. */
function logWarningsOfNode(log: Log): void {
  process.removeAllListeners("warning");
  process.on("warning", (warning: Error & { readonly code?: string }) => {
    log.warn(warning.message, { warning: warning.code ?? warning.name });
  });
}

/**
 * Closes the server at a signal, also one that comes while the server starts; a second one ends the process at once.
 * The process may be PID 1 of a container, which Linux lets ignore signals without a handler. Under npx the end of its
 * shell stands for the signal.
 */
function closeOnSignals(starting: Promise<RunningServer>, log: Log): void {
  let isClosing = false;
  const close = (cause: Readonly<Record<string, string>>): void => {
    isClosing = true;
    log.info("closing", cause);
    const closed = starting.then((server) => server.close());
    closed.then(
      () => {
        log.info("closed");
        process.exit(0);
      },
      (error: Error) => {
        log.error("closing failed", { error: error.message });
        process.exit(1);
      },
    );
  };
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (isClosing) process.exit(SIGNAL_EXIT[signal]);
      close({ signal });
    });
  }
  onNpmShellEnd(() => {
    if (!isClosing) close({ because: "npx or npm has ended" });
  });
}
