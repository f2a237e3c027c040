/** What the memory engine keeps, in a takeover by another process. */
import { describe, expect, it, vi } from "vitest";
import { memory } from "../../../src/index.ts";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { ServerProcess, takeoverPath } from "./server-process.ts";
import { openStreamingClients } from "./streaming-clients.ts";

const STREAM = "stream:raw";
/** More than `fails: "suspend"` of the program waits for. */
const CLIENTS = 15;
const TOPICS = {
  "stream:*": { history: { size: 100_000 }, presence: { leaveGraceMs: 0 } },
  "presence:*": { presence: { leaveGraceMs: 0 } },
};

interface Stored {
  readonly position: { readonly epoch: string; readonly offset: number };
  readonly duplicate: boolean;
}

interface History {
  readonly top: unknown;
  readonly publications: readonly { readonly offset: number }[];
}

/** Publications that the program answers at most. */
const MAX_PAGE = 1_000;

/** Calls the program's API. A request that a process gave up at its end is made again. */
async function call<Answer>(port: number, path: string): Promise<Answer> {
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/api/${path}`).catch(() => undefined);
    if (response?.ok === true) return response.json() as Promise<Answer>;
    if (response !== undefined) throw new Error(await response.text());
  }
}

/** Starts a server with clients that have been told of everybody. */
async function startServer() {
  const start = { actor: "streaming", engine: memory(), topics: TOPICS, takeover: takeoverPath(), shards: 2 };
  const run = (fails?: "suspend"): ServerProcess => {
    return new ServerProcess({ start: { ...start, warmUp: false }, listen: ["http"], ...(fails && { fails }) });
  };
  const old = run();
  const { ports } = await old.tells("listening");
  const port = ports[0] as number;
  const clients = await openStreamingClients(new Array<number>(CLIENTS).fill(port));
  return { old, run, port, clients };
}

/** Publishes one number after the other, each with a key of its own, and asks who is present. */
class Caller {
  readonly #port: number;
  readonly stored: Stored[] = [];
  /** Each number of members that was answered. */
  readonly counts = new Set<number>();
  #isOver = false;
  readonly #ended: Promise<unknown>;

  constructor(port: number) {
    this.#port = port;
    this.#ended = Promise.all([this.#publishAll(), this.#poll()]);
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
  }

  async #publishAll(): Promise<void> {
    while (!this.#isOver) this.stored.push(await publish(this.#port, this.stored.length));
  }

  async #poll(): Promise<void> {
    while (!this.#isOver) {
      this.counts.add((await call<unknown[]>(this.#port, `presence?topic=${STREAM}`)).length);
    }
  }
}

/** Calls may be made twice: the key makes that harmless. */
function publish(port: number, number: number): Promise<Stored> {
  return call(port, `publish?topic=${STREAM}&data=${number}&key=key-${number}`);
}

/** Waits for some more publishes, and checks that everything has come once. */
async function expectAllRight(port: number, caller: Caller, clients: readonly string[][]): Promise<void> {
  const reached = caller.stored.length + 10;
  await vi.waitFor(() => expect(caller.stored.length).toBeGreaterThan(reached));
  await caller.end();
  expect([...caller.counts]).toEqual([CLIENTS]);
  const positions = caller.stored.map(({ position }) => position);
  const { epoch } = positions[0] ?? { epoch: "" };
  expect(positions).toEqual(positions.map((_, number) => ({ epoch, offset: number + 1 })));
  for (const number of positions.keys()) {
    expect(await publish(port, number)).toEqual({ position: positions[number], duplicate: true });
  }
  const { top, publications } = await call<History>(port, `history?topic=${STREAM}`);
  expect(top).toEqual(positions.at(-1));
  expect(publications.map(({ offset }) => offset)).toEqual(positions.slice(0, MAX_PAGE).map((_, number) => number + 1));
  const numbers = positions.map((_, number) => String(number));
  await vi.waitFor(() => expect(clients.map((told) => told.length)).toEqual(clients.map(() => numbers.length)));
  for (const told of clients) expect(told).toEqual(numbers);
}

describe.skipIf(whyNoPassing() !== undefined)("a board with the memory engine that is taken over", () => {
  it("keeps history, positions, idempotency keys and presence, and publishes what meets the takeover once", async () => {
    const { old, run, port, clients } = await startServer();
    const caller = new Caller(port);
    await vi.waitFor(() => expect(caller.stored.length).toBeGreaterThan(10));
    const next = run();
    expect(await next.tells("takenOver")).toMatchObject({ connections: CLIENTS });
    await old.end();
    await expectAllRight(port, caller, clients);
  });

  it("goes on with all of that in the old process when the new one is killed half way", async () => {
    const { old, run, port, clients } = await startServer();
    const caller = new Caller(port);
    const next = run("suspend");
    expect(await old.tells("successorFailed")).toMatchObject({ code: "ERR_TAKEOVER_LOST", lost: 0 });
    expect((await next.end()).signal).toBe("SIGKILL");
    await expectAllRight(port, caller, clients);
  });
});
