import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { Switchboard } from "../index.ts";
import type { Session } from "./demo/chat.ts";
import { servePage } from "./demo/page.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
const DRAIN_MS = 5_000;

/** A chat in one process on all cores: a page on a plain HTTP server, its WebSockets in the shards. */
async function run(port: number): Promise<void> {
  const server = createServer(servePage(await readFile(new URL("./demo/page.html", import.meta.url), "utf8")));
  server.listen(port);
  await once(server, "listening");

  const board = await Switchboard.start({
    actor: new URL("./demo/chat.ts", import.meta.url),
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

run(Number(process.env["PORT"] || 8080)).catch((error: unknown) => {
  console.error(`The demo can't start: ${explain(error)}`);
  process.exit(1);
});
