import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { Switchboard } from "../index.ts";
import type { Session } from "./demo/chat.ts";
import { servePage } from "./demo/page.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const DRAIN_MS = 5_000;
/** Beside the sources, or in the built package. */
const built = !import.meta.url.endsWith(".ts");
const PAGE = new URL(built ? "./cli/demo/page.html" : "./demo/page.html", import.meta.url);
const ACTOR = new URL(built ? "./cli/demo/chat.js" : "./demo/chat.ts", import.meta.url);

/** A chat in one process on all cores: a page on a plain HTTP server, its WebSockets in the shards. */
async function serve(port: number): Promise<void> {
  const server = createServer(servePage(await readFile(PAGE, "utf8")));
  server.listen(port);
  await once(server, "listening");

  const board = await Switchboard.start({
    actor: ACTOR,
    maxPayloadBytes: 16 * 1024,
  });
  const shards = board.stats().shards.length;
  board.attach<Session>(server, { path: "/chat/:room", authorize: () => ({ session: { shards } }) });

  const stop = async (): Promise<void> => {
    // A second signal does what signals do by default: it ends the process at once.
    for (const signal of SIGNALS) process.off(signal, stop);
    await board.close({ drain: DRAIN_MS });
    server.close();
    server.closeAllConnections();
  };
  for (const signal of SIGNALS) process.on(signal, stop);

  const address = server.address();
  const url = `http://localhost:${typeof address === "object" ? address?.port : port}`;
  console.log(`Chat on ${url} with ${shards} ${shards === 1 ? "shard" : "shards"}; Ctrl+C ends it.`);
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return `${error.message}; choose another port with PORT=8081`;
  return code === "ERR_SOCKET_BAD_PORT" ? "PORT takes an integer from 0 to 65535" : error.message;
}

/** `switchboard demo`; resolves with the exit code when it runs, and goes on until a signal. */
export async function demo(): Promise<number> {
  try {
    await serve(Number(process.env["PORT"] || 8080));
    return 0;
  } catch (error) {
    console.error(`The demo can't start: ${explain(error)}`);
    process.exit(1);
  }
}
