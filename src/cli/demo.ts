/** The command `switchboard demo`: a chat in the browser that shows the shards at work. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type StartOptions, Switchboard } from "../index.ts";
import { builtins } from "../wire/node-internals/builtins.ts";
import type { Session } from "./demo/chat.ts";
import { servePage } from "./demo/page.ts";
import { parseFlags } from "./parse-flags.ts";
import { UsageError } from "./usage-error.ts";

type SocketsOption = NonNullable<StartOptions["sockets"]>;

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const SOCKETS: readonly SocketsOption[] = ["auto", "node", "uring", "relay"];
const HELP = `Usage: switchboard demo [--sockets auto|node|uring|relay]

  --sockets KIND         how the shards read and write their sockets; auto: as node

The variable PORT sets the port (8080).
`;
const CLOSE_TIMEOUT_MS = 5_000;
/** True in the built package, where the files lie elsewhere than in the sources. */
const built = !import.meta.url.endsWith(".ts");
const PAGE = new URL(built ? "./cli/demo/page.html" : "./demo/page.html", import.meta.url);
const ACTOR = new URL(built ? "./cli/demo/chat.js" : "./demo/chat.ts", import.meta.url);

/** Serves the chat: the page from an HTTP server in this thread, its WebSockets from the shards. */
async function serve(port: number, sockets: SocketsOption): Promise<void> {
  const server = builtins.http.createServer(servePage(await readFile(PAGE, "utf8")));
  server.listen(port);
  await once(server, "listening");

  const board = await Switchboard.start({
    actor: ACTOR,
    maxPayloadBytes: 16 * 1024,
    sockets,
  });
  const { shards: all, sockets: chosen } = board.stats();
  const shards = all.length;
  board.attach<Session>(server, { path: "/chat/:room", authorize: () => ({ session: { shards } }) });

  const reload = async (): Promise<void> => {
    try {
      const { moved, closed, ms } = await board.reload();
      console.log(
        `Reloaded: ${moved} ${moved === 1 ? "connection goes" : "connections go"} on, ${closed} closed, ${Math.round(ms)} ms.`,
      );
    } catch (error) {
      console.error(
        `The chat can't be reloaded, and goes on as it is: ${error instanceof Error ? error.message : error}`,
      );
    }
  };
  process.on("SIGHUP", reload);

  const stop = async (): Promise<void> => {
    // With the handlers removed, a second signal ends the process at once.
    for (const signal of SIGNALS) process.off(signal, stop);
    await board.close({ timeoutMs: CLOSE_TIMEOUT_MS });
    server.close();
    server.closeAllConnections();
  };
  for (const signal of SIGNALS) process.on(signal, stop);

  const address = server.address();
  const url = `http://localhost:${typeof address === "object" ? address?.port : port}`;
  console.log(`The chat is at ${url}, with ${shards} ${shards === 1 ? "shard" : "shards"}. Ctrl+C ends it.`);
  console.log(`Its sockets: ${chosen.kind} (${chosen.reason}).`);
}

/** Describes a failure to start in one sentence. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return `${error.message}; choose another port with PORT=8081`;
  return code === "ERR_SOCKET_BAD_PORT" ? "PORT takes an integer from 0 to 65535" : error.message;
}

/** Runs the command. Resolves with the exit code once the chat is served; the chat goes on until a signal. */
export async function demo(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseFlags("demo", args, { sockets: { type: "string" }, help: { type: "boolean" } });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (positionals[0] !== undefined) {
    throw new UsageError(`demo takes no ${positionals[0]}; set its port with the variable PORT`);
  }
  const sockets = SOCKETS.find((one) => one === (values.sockets ?? "auto"));
  if (sockets === undefined) throw new UsageError(`--sockets takes ${SOCKETS.join(", ")}, not ${values.sockets}`);
  try {
    await serve(Number(process.env["PORT"] || 8080), sockets);
    return 0;
  } catch (error) {
    console.error(`The demo can't start: ${explain(error)}`);
    process.exit(1);
  }
}
