/**
 * A server with a low limit of open files, for tests: accepts WebSockets in one way, and prints a JSON line for each
 * event, each question (SIGUSR2) and each evacuation (SIGHUP): of shard 0 at first, then of shard 1.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { Switchboard } from "../../../src/index.ts";
import { actorUrl } from "../actor-url.ts";
import type { LimitedServerOptions, LimitedStory } from "../limited-server.ts";

const { way, start, actor = "echo", tls }: LimitedServerOptions = JSON.parse(process.argv[2] ?? "{}");

function tell(story: LimitedStory): void {
  console.log(JSON.stringify(story));
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : error.message;
}

const sockets = way === "relay" ? "relay" : "auto";
const board = await Switchboard.start({
  shards: 2,
  maxEventLoopDelayMs: 60_000,
  sockets,
  ...start,
  actor: actorUrl(actor),
});
board.on("handshakeFailed", (error) => tell({ event: "handshakeFailed", code: codeOf(error) }));
board.on("acceptFailed", ({ error }) => tell({ event: "acceptFailed", code: codeOf(error) }));
process.on("SIGUSR2", () => tell({ event: "stats", ready: board.ready, stats: board.stats() }));

let evacuations = 0;
process.on("SIGHUP", async () => {
  const number = ++evacuations;
  const { moved, stayed } = await board.evacuate(number === 1 ? 0 : 1);
  tell({ event: "evacuated", number, moved, stayed });
});

const answer = (_: unknown, response: { end(text: string): unknown }): void => {
  response.end("plain");
};

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function open(): Promise<number> {
  const own = { port: 0, host: "127.0.0.1" };
  switch (way) {
    case "attach":
    case "relay": {
      const server = createServer(answer);
      board.attach(server);
      return listen(server);
    }
    case "handleUpgrade": {
      const server = createServer(answer);
      server.on("upgrade", (request, socket, head) => board.handleUpgrade(request, socket, head));
      return listen(server);
    }
    case "https": {
      const server = createTlsServer({ ...tls }, answer);
      board.attach(server);
      return listen(server);
    }
    case "http2": {
      const server = createHttp2Server(answer);
      board.attach(server);
      return listen(server);
    }
    case "listen main":
      return (await board.listen({ ...own, handshake: "main" })).port;
    case "listen":
      return (await board.listen(own)).port;
    case "listen tls":
      return (await board.listen({ ...own, ...(tls && { tls }) })).port;
    case "accept shard":
      return (await board.listen({ ...own, accept: "shard" })).port;
    case "accept shard tls":
      return (await board.listen({ ...own, accept: "shard", ...(tls && { tls }) })).port;
  }
}

tell({ event: "listening", port: await open() });
