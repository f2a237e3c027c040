/** The command `switchboard serve`: the server that backends in any language publish to. */
import type { parseArgs } from "node:util";
import { issueToken } from "../server/auth/issue-token.ts";
import { formatFault } from "../server/config/fault.ts";
import { type LoadedConfig, loadConfig } from "../server/config/load.ts";
import { Log } from "../server/serve/log.ts";
import { type RunningServer, startServer } from "../server/serve/server.ts";
import { count } from "./load-config.ts";
import { parseFlags } from "./parse-flags.ts";
import { CommandError } from "./usage-error.ts";
import { version } from "./version.ts";

const HELP = `Usage: switchboard serve [--config FILE]

Starts the server. Without a config file it makes secrets for this run, and shows them once.
Every key of the config can also be set as a variable: http_server.port is SWITCHBOARD_HTTP_SERVER_PORT.

  --config FILE   the config: see switchboard config init
  --port PORT     port of the clients (http_server.port)
  --address ADDR  address of the clients (http_server.address)
  --insecure      let every client do everything, without tokens (client.insecure): for development
  --help          show this help
`;

/** Channel of the lines that show how to publish and receive, and the life of their token in seconds. */
const CHANNEL = "news";
const TOKEN_S = 3_600;

const SIGNALS = ["SIGTERM", "SIGINT"] as const;
const SIGNAL_EXIT = { SIGTERM: 143, SIGINT: 130 } as const;

type Good = LoadedConfig & { readonly kind: "ok" };

/** Runs the command. Resolves with the exit code once the server runs; the server goes on until a signal. */
export async function serve(args: readonly string[]): Promise<number> {
  const { values } = parseFlags("serve", args, {
    config: { type: "string" },
    port: { type: "string" },
    address: { type: "string" },
    insecure: { type: "boolean" },
    help: { type: "boolean" },
  } satisfies NonNullable<Parameters<typeof parseArgs>[0]>["options"]);
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const loaded = await loadConfig({
    file: values.config,
    env: process.env,
    flags: {
      ...(values.port === undefined ? {} : { "http_server.port": { flag: "--port", value: values.port } }),
      ...(values.address === undefined ? {} : { "http_server.address": { flag: "--address", value: values.address } }),
      ...(values.insecure ? { "client.insecure": { flag: "--insecure", value: "true" } } : {}),
    },
  });
  if (loaded.kind === "faults") {
    const faults = loaded.faults.map((fault) => formatFault(fault, values.config));
    throw new CommandError(`the config has ${count(faults.length, "fault")}:\n${faults.join("\n")}`);
  }
  const log = new Log(loaded.config.log);
  for (const warning of loaded.warnings) log.warn(formatFault(warning, values.config));
  const server = await start(loaded, log);
  tellStart(loaded, server, log);
  closeOnSignals(server, log);
  return 0;
}

async function start({ config }: Good, log: Log): Promise<RunningServer> {
  try {
    return await startServer({ config, version: await version(), log });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const code = "code" in error ? error.code : undefined;
    const hint = code === "EADDRINUSE" ? "; choose another port with --port" : "";
    throw new CommandError(`can't start: ${error.message}${hint}`);
  }
}

/** Tells what the server listens on; with secrets of this run, also the lines that publish and receive. */
function tellStart({ config, generated }: Good, server: RunningServer, log: Log): void {
  const { port } = server.address;
  const api = server.internalAddress.port;
  log.info("listening", { port, apiPort: api, shards: server.board.stats().shards.length, engine: config.engine.type });
  if (config.client.insecure) {
    log.warn("client.insecure is on: every client may do everything, without a token. Never use it in production");
  }
  if (config.httpApi.insecure) log.warn("http_api.insecure is on: whoever reaches the API may use it without a key");
  if (generated.length === 0) return;
  const key = generated.find(({ path }) => path === "http_api.key")?.value;
  const secret = generated.find(({ path }) => path === "client.token.hmac_secret_key")?.value;
  const lines = ["", `Clients connect to ws://localhost:${port}${config.websocket.handlerPrefix}`];
  if (secret !== undefined) lines.push(`Secret for their tokens, in this run:  ${secret}`);
  if (key !== undefined) {
    lines.push(`Key of the API, in this run:           ${key}`, "", "Publish:");
    lines.push(
      `  curl -H 'X-API-Key: ${key}' -d '{"channel":"${CHANNEL}","data":{"text":"hello"}}' http://localhost:${api}${config.httpApi.handlerPrefix}/publish`,
    );
  }
  lines.push("Receive, in JavaScript (npm install centrifuge), with a token for an hour and the channel news:");
  const token = issueToken(config.client.token, { user: "demo", exp: nowSeconds() + TOKEN_S, channels: [CHANNEL] });
  lines.push(
    `  const client = new Centrifuge("ws://localhost:${port}${config.websocket.handlerPrefix}", { token: "${token}" });`,
    `  client.on("publication", ({ channel, data }) => console.log(channel, data)); client.connect();`,
    "",
  );
  process.stdout.write(`${lines.join("\n")}\n`);
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}

/** Closes the server at a signal; a second one ends the process at once. The process may be PID 1 of a container. */
function closeOnSignals(server: RunningServer, log: Log): void {
  let isClosing = false;
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (isClosing) process.exit(SIGNAL_EXIT[signal]);
      isClosing = true;
      log.info("closing", { signal });
      server.close().then(
        () => {
          log.info("closed");
          process.exit(0);
        },
        (error: Error) => {
          log.error("closing failed", { error: error.message });
          process.exit(1);
        },
      );
    });
  }
}
