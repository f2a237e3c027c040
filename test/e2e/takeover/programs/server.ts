/**
 * A program with a board that can be taken over, for tests: `server.ts <options as JSON>`. Prints a JSON line for each
 * event. SIGHUP reloads the board, and moves a connection.
 */
import { openSync, readdirSync, readlinkSync, writeSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { type Address, type StartOptions, Switchboard, type TakeoverOptions } from "../../../../src/index.ts";

export interface ServerOptions {
  readonly start: Omit<StartOptions, "actor"> & { readonly actor: string };
  /** How the program listens: the options of `listen`, or "http" for a server of its own. */
  readonly listen: readonly (Readonly<Record<string, string | number>> | "http")[];
  /** Number of topics `filled:<number>` with 100 publications of 100 bytes that the program fills before it listens. */
  readonly filled?: number;
  /**
   * State of the program that goes along: the ids of the processes that have given it, or functions that throw. The
   * program tells what it `took`.
   */
  readonly program?: { readonly give?: "ids" | "throws"; readonly take?: "ids" | "throws" };
  /** Publishes to the topic `ticks` as often as possible, with a number each. */
  readonly ticks?: string;
  /**
   * When the program sends itself a signal: before it listens, once sockets have arrived, or (under a supervisor,
   * without `node:ffi`) once all connections are stopped and their states have arrived. "close": it closes its board.
   */
  readonly fails?: "listen" | "suspend" | "states" | "close";
  /** The signal. Default: SIGKILL. "wait": goes no further. "exhaust": opens files until no descriptor is left. */
  readonly failsBy?: "SIGKILL" | "SIGSTOP" | "wait" | "exhaust";
}

const {
  start,
  listen,
  filled = 0,
  program,
  ticks,
  fails,
  failsBy = "SIGKILL",
}: ServerOptions = JSON.parse(process.argv[2] ?? "{}");

function tell(event: string, detail: object): void {
  writeSync(1, `${JSON.stringify({ event, ...detail })}\n`);
}

let ids: readonly number[] = [];
const functions = {
  give: {
    ids: () => [...ids, process.pid],
    throws: () => {
      throw new Error("there is nothing to give");
    },
  },
  take: {
    ids: async (state: unknown) => {
      ids = state as readonly number[];
      tell("took", { ids });
    },
    throws: async (state: unknown) => {
      throw new Error(`${(state as readonly number[]).length} ids can't be taken`);
    },
  },
};

/** The option `takeover`, with the functions that the test wants. */
function takeoverOf({ give, take }: NonNullable<ServerOptions["program"]>): TakeoverOptions {
  return {
    path: start.takeover as string | true,
    ...(give && { give: functions.give[give] }),
    ...(take && { take: functions.take[take] }),
  };
}

// Under a supervisor, without `node:ffi`: the process waits for its welcome.
const send = process.send?.bind(process);
if (send !== undefined) {
  process.send = (message: { readonly part?: { readonly kind: string } }, ...rest: readonly unknown[]) => {
    const isSent = (send as (...all: readonly unknown[]) => boolean)(message, ...rest);
    if (message.part?.kind === "message") {
      process.send = send;
      tell("greets", {});
    }
    return isSent;
  };
}
const board = await Switchboard.start(
  program === undefined ? start : { ...start, takeover: takeoverOf(program) },
).catch((error) => {
  tell("refused", { code: error.code, message: error.message });
  process.exit(1);
});
for (const event of ["takenOver", "handedOver", "closed"] as const) board.on(event, (detail) => tell(event, detail));
board.on("successorFailed", ({ error, ...detail }) => {
  tell("successorFailed", { ...detail, code: (error as { readonly code?: string }).code, message: error.message });
});
for (const event of ["moveFailed", "actorFailed"] as const) {
  board.on(event, ({ error, ...detail }) => tell(event, { ...detail, message: error.message }));
}
board.on("programStateLeft", ({ message }) => tell("programStateLeft", { message }));
process.on("SIGHUP", () => {
  board.move("0-any" as Address, 0).catch((error) => tell("moveRefused", { code: error.code }));
  board.reload().catch((error) => tell("reloadFailed", { code: error.code, message: error.message }));
});
board.on("takeoverFailed", (error) => tell("takeoverFailed", { message: error.message }));
const ports: unknown[] = [];
if (fails === "close") await board.close();
if (fails === "listen") await fail();
if (fails === "suspend") failWhenConnectionsArrive();
if (fails === "states") failAtStates();
for (let topic = 0; topic < filled; topic++) {
  const all = Array.from({ length: 100 }, () => board.publish(`filled:${topic}`, "x".repeat(100)).stored);
  await Promise.all(all);
}
// A takeover on a busy machine takes longer than a request may take.
const handshakeTimeoutMs = 60_000;
for (const options of fails === "close" ? [] : listen) {
  if (options === "http" || "path" in options) {
    const server = createServer((request, response) => {
      const answer = (): void => void response.end(String(process.pid));
      if (request.url?.startsWith("/api/") === true) return void answerApi(request.url, response);
      if (request.url !== "/slow") return answer();
      process.once("SIGUSR2", answer);
      tell("asked", {});
    });
    board.attach(server, { handshakeTimeoutMs });
    ports.push(await board.listen(server, options === "http" ? { port: 0, host: "127.0.0.1" } : options));
  } else {
    ports.push(await board.listen({ port: 0, host: "127.0.0.1", handshakeTimeoutMs, ...options }));
  }
}
tell("listening", { ports: ports.map((address) => (address as { readonly port: number }).port) });
let tick = 0;
if (ticks !== undefined) {
  setInterval(() => board.publish("ticks", `${ticks} ${tick++}`), 1).unref();
  process.on("exit", () => tell("ended", { ticks: tick }));
}

/** Answers `/api/publish?topic=…&data=…&key=…`, `/api/history?topic=…` and `/api/presence?topic=…` with JSON. */
async function answerApi(url: string, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(url, "http://localhost");
  const [topic = "", data = "", key = ""] = ["topic", "data", "key"].map((name) => searchParams.get(name) ?? "");
  try {
    const answer =
      pathname === "/api/publish"
        ? await board.publish(topic, data, key === "" ? {} : { idempotencyKey: key }).stored
        : pathname === "/api/history"
          ? await board.history(topic, { limit: 1_000 })
          : await board.presence(topic);
    response.setHeader("Connection", "close").end(JSON.stringify(answer));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}

/**
 * The sockets of connections come by tens; before them, the process opens few. Files don't count: while threads start,
 * some are open for a moment. Looks once in each turn of the event
 * loop, so that no shard's answer comes in between: with it, the connections would be this process's.
 */
function failWhenConnectionsArrive(): void {
  const isSocket = (descriptor: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith("socket:");
    } catch {
      return false;
    }
  };
  const sockets = (): number => readdirSync("/proc/self/fd").filter(isSocket).length;
  const before = sockets();
  const look = (): void => {
    if (sockets() <= before + 5) setImmediate(look);
    else void fail();
  };
  look();
}

/** Fails when the supervisor has passed on the states of connections, and before anybody has read them. */
function failAtStates(): void {
  const look = (message: { readonly part?: { readonly body?: Uint8Array } }): void => {
    if (!Buffer.from(message.part?.body ?? []).includes('"\vconnections')) return;
    process.off("message", look);
    void fail();
  };
  process.prependListener("message", look);
}

async function fail(): Promise<void> {
  tell("failing", {});
  if (failsBy === "exhaust") exhaust();
  else if (failsBy !== "wait") process.kill(process.pid, failsBy);
  // The interval keeps the process.
  else await new Promise<never>(() => setInterval(() => {}, 60_000));
}

function exhaust(): void {
  try {
    for (;;) openSync("/dev/null", "r");
  } catch {
    // As wanted.
  }
}
