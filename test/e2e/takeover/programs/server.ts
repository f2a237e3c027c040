/**
 * A program with a board that can be taken over, for tests: `server.ts <options as JSON>`. Prints a JSON line for each event.
 */
import { writeSync } from "node:fs";
import { createServer } from "node:http";
import { type StartOptions, Switchboard } from "../../../../src/index.ts";

export interface ServerOptions {
  readonly start: Omit<StartOptions, "actor"> & { readonly actor: string };
  /** How the program listens: the options of `listen`, or "http" for a server of its own. */
  readonly listen: readonly (object | "http")[];
  /** Publishes to the topic `ticks` as often as possible, with a number each. */
  readonly ticks?: string;
}

const { start, listen, ticks }: ServerOptions = JSON.parse(process.argv[2] ?? "{}");

function tell(event: string, detail: object): void {
  writeSync(1, `${JSON.stringify({ event, ...detail })}\n`);
}

const board = await Switchboard.start(start).catch((error) => {
  tell("refused", { code: error.code, message: error.message });
  process.exit(1);
});
for (const event of ["takenOver", "handedOver", "closed"] as const) board.on(event, (detail) => tell(event, detail));
board.on("successorFailed", ({ error, ...detail }) => {
  tell("successorFailed", { ...detail, code: (error as { readonly code?: string }).code, message: error.message });
});
board.on("takeoverFailed", (error) => tell("takeoverFailed", { message: error.message }));
const ports: unknown[] = [];
for (const options of listen) {
  if (options === "http") {
    const server = createServer((request, response) => {
      if (request.url !== "/slow") response.end(String(process.pid));
      else setTimeout(() => response.end(String(process.pid)), 1_000);
    });
    board.attach(server);
    ports.push(await board.listen(server, { port: 0, host: "127.0.0.1" }));
  } else {
    ports.push(await board.listen({ port: 0, host: "127.0.0.1", ...options }));
  }
}
tell("listening", { ports: ports.map((address) => (address as { readonly port: number }).port) });
let tick = 0;
if (ticks !== undefined) setInterval(() => board.publish("ticks", `${ticks} ${tick++}`), 1).unref();
