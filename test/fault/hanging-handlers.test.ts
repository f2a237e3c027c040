import { expect, it, vi } from "vitest";
import type { ActorFailure, Address, HandlerTimeout, Switchboard } from "../../src/index.ts";
import { startBoard, type TestBoardOptions } from "../support/board.ts";
import { close, text } from "../support/frames.ts";
import { RawClient } from "../support/raw-client.ts";

const PEERS = 40;
const LIMIT_MS = 200;

interface Counts {
  readonly opened: number;
  readonly closed: number;
  readonly collected: number;
}

async function start(options: TestBoardOptions) {
  const { board, port } = await startBoard({ actor: "hanging", attach: { path: "/:where/:promise" }, ...options });
  const failures: ActorFailure[] = [];
  const timeouts: HandlerTimeout[] = [];
  board.on("actorFailed", (failure) => failures.push(failure));
  board.on("handlerTimedOut", (timeout) => timeouts.push(timeout));
  const probe = await RawClient.open({ port, path: "/none/none" });
  const address = (await probe.text()) as Address;
  const counts = (): Promise<Counts> => board.ask(address, "counts", { timeoutMs: 30_000 }) as Promise<Counts>;
  return { board, port, failures, timeouts, counts };
}

/** Opens a connection whose actor hangs in this handler; for "closed", in the handler at its end. */
async function hang(port: number, where: string, promise = "forgotten"): Promise<RawClient> {
  const client = await RawClient.open({ port, path: `/${where}/${promise}` });
  await client.text();
  if (where === "closed") return client;
  if (where !== "opened") client.write(text("hang"));
  expect(await client.text()).toBe(`in ${where}`);
  return client;
}

function firstShard(board: Switchboard) {
  const [shard] = board.stats().shards;
  if (shard === undefined) throw new Error("a board has a shard");
  return shard;
}

it.each(["opened", "received", "mailed", "timer", "closed"])(
  "frees the actors of 40 peers that left while their actors hung in %s",
  async (where) => {
    const { board, port, failures, timeouts, counts } = await start({ handlerTimeoutAfterCloseMs: LIMIT_MS });
    const clients = await Promise.all(Array.from({ length: PEERS }, () => hang(port, where)));
    expect(firstShard(board)).toMatchObject({ connections: PEERS + 1, actors: PEERS + 1, handlerTimeouts: 0 });
    for (const client of clients) client.reset();
    await vi.waitFor(() => expect(firstShard(board)).toMatchObject({ connections: 1, actors: 1 }));
    expect(firstShard(board)).toMatchObject({ handlerTimeouts: PEERS, actorFailures: PEERS });
    await vi.waitFor(async () => expect(await counts()).toEqual({ opened: PEERS, closed: PEERS, collected: PEERS }));
    // Events come on another way than counters and answers.
    await vi.waitFor(() => expect([timeouts.length, failures.length]).toEqual([PEERS, PEERS]));
    expect(timeouts[0]).toEqual({ shard: 0, id: expect.any(String), handler: where, limitMs: LIMIT_MS });
    expect(failures[0]).toMatchObject({ handler: where, outcome: "stopped", error: { code: "ERR_HANDLER_TIMEOUT" } });
  },
);

it("calls closed even if other objects keep the promise that a handler waits for", async () => {
  const { board, port, counts } = await start({ handlerTimeoutAfterCloseMs: LIMIT_MS });
  const clients = await Promise.all(Array.from({ length: PEERS }, () => hang(port, "received", "kept")));
  for (const client of clients) client.reset();
  await vi.waitFor(() => expect(firstShard(board)).toMatchObject({ connections: 1, actors: 1 }));
  expect(await counts()).toMatchObject({ opened: PEERS, closed: PEERS });
});

it("sets no time limit for handlers by default while the connection is open", async () => {
  const { board, port, timeouts } = await start({ handlerTimeoutAfterCloseMs: 50 });
  const hanging = await hang(port, "received");
  const left = await hang(port, "received");
  left.reset();
  // The handler of the open connection has hung for longer by now.
  await vi.waitFor(() => expect(timeouts).toHaveLength(1));
  await vi.waitFor(() => expect(firstShard(board)).toMatchObject({ connections: 2, actors: 2 }));
  hanging.reset();
  await vi.waitFor(() => expect(timeouts).toHaveLength(2));
});

it("closes a connection with 1011 when its handler takes longer than handlerTimeoutMs", async () => {
  const { board, port, timeouts, counts } = await start({ handlerTimeoutMs: LIMIT_MS });
  const client = await hang(port, "received");
  expect(await client.closeFrame()).toEqual({ code: 1011, reason: "internal error" });
  client.write(close(1011));
  await client.closed();
  await vi.waitFor(() => expect(firstShard(board)).toMatchObject({ connections: 1, actors: 1, handlerTimeouts: 1 }));
  await vi.waitFor(() => expect(timeouts).toMatchObject([{ handler: "received", limitMs: LIMIT_MS }]));
  expect(await counts()).toMatchObject({ opened: 1, closed: 1 });
});

it("closes the board without waiting for a handler that has timed out", async () => {
  const { board, port } = await start({ handlerTimeoutAfterCloseMs: LIMIT_MS });
  const client = await hang(port, "received");
  client.reset();
  await vi.waitFor(() => expect(firstShard(board)).toMatchObject({ actors: 1 }));
  expect(await board.close({ timeoutMs: 0 })).toEqual({ closed: 0, dropped: 1, cut: 0 });
});
