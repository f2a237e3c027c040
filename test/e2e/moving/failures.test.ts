import { once } from "node:events";
import { expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import type { ActorFailure, Address, MoveFailure, Switchboard } from "../../../src/index.ts";
import { startBoard, type TestBoardOptions } from "../../support/board.ts";

interface Moving {
  readonly board: Switchboard;
  readonly port: number;
  readonly socket: WebSocket;
  readonly address: Address;
  readonly failed: MoveFailure[];
  /** Sends a text and resolves with the next message. */
  ask(text: string): Promise<string>;
}

async function open(options: TestBoardOptions = {}): Promise<Moving> {
  const { board, port } = await startBoard({ actor: "moving", shards: 2, ...options });
  const failed: MoveFailure[] = [];
  board.on("moveFailed", (failure) => failed.push(failure));
  board.on("actorFailed", () => {});
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  onTestFinished(() => socket.terminate());
  await once(socket, "open");
  const address = (await board.connections()).connections[0]?.address as Address;
  const ask = async (text: string): Promise<string> => {
    const answer = once(socket, "message");
    socket.send(text);
    return String((await answer)[0]);
  };
  return { board, port, socket, address, failed, ask };
}

it("carries the state with its version, sync and async", async () => {
  const { board, address, ask } = await open();
  expect(await board.move(address, 1)).toEqual({ moved: true });
  await ask("plan async");
  expect(await board.move(address, 0)).toEqual({ moved: true });
  expect(await ask("log")).toBe("opened, suspended on 0, resumed 7 on 1, suspended on 1, resumed 7 on 0");
});

it("goes on with the same object when suspended throws or rejects", async () => {
  const { board, address, failed, ask } = await open();
  const failures: ActorFailure[] = [];
  board.on("actorFailed", (failure) => failures.push(failure));
  for (const plan of ["throw", "reject"]) {
    const why = `suspended ${plan}s`;
    await ask(`plan ${plan}`);
    expect(await board.move(address, 1), plan).toEqual({ moved: false, reason: "failed" });
    expect(failures.splice(0), plan).toMatchObject([{ handler: "suspended", outcome: "resumed", id: address }]);
    const failure = { reason: "failed", id: address, shard: 0, error: { code: "ERR_MOVE_FAILED" } };
    const message = `a connection stays in its shard: its actor's suspended threw: ${why}`;
    expect(failed[0]?.error, plan).toMatchObject({ message, cause: { message: why } });
    expect(failed.splice(0), plan).toMatchObject([failure]);
  }
  expect(await ask("log")).toBe("opened, suspended on 0, suspended on 0");
  await ask("plan ");
  expect(await board.move(address, 1)).toEqual({ moved: true });
});

it("says that a connection which a reload can't move is closed, and why", async () => {
  const { board, socket, failed, ask } = await open({ shards: 1 });
  await ask("plan throw");
  const closed = once(socket, "close");
  expect(await board.reload()).toMatchObject({ moved: 0, closed: 1 });
  expect((await closed)[0]).toBe(1012);
  const message =
    "a connection couldn't go to the new thread of its shard, and is closed with 1012 when the old thread ends: its actor's suspended threw: suspended throws";
  const cause = { message: "suspended throws" };
  expect(failed).toMatchObject([{ reason: "failed", error: { code: "ERR_MOVE_FAILED", message, cause } }]);
});

it("goes on with another object in the same shard after a state that can't travel", async () => {
  const { board, address, failed, ask } = await open();
  const plans = [
    { plan: "function", code: "ERR_STATE_NOT_CLONEABLE" },
    { plan: "blob", code: "ERR_STATE_NOT_CLONEABLE" },
    { plan: "class", code: "ERR_STATE_NOT_CLONEABLE" },
    { plan: "large", code: "ERR_STATE_TOO_LARGE" },
  ];
  let log = "opened";
  for (const { plan, code } of plans) {
    await ask(`plan ${plan}`);
    expect(await board.move(address, 1), plan).toEqual({ moved: false, reason: "state" });
    expect(failed.splice(0), plan).toMatchObject([{ reason: "state", error: { code } }]);
    log += ", suspended on 0, resumed 7 on 0";
    expect(await ask("log"), plan).toBe(log);
  }
  expect(board.stats().shards.map(({ movesFailed, connections }) => [movesFailed, connections])).toEqual([
    [plans.length, 1],
    [0, 0],
  ]);
});

it("stays when the argument of a timer can't be cloned", async () => {
  const { board, address, failed, ask } = await open();
  await ask("uncloneable");
  expect(await board.move(address, 1)).toEqual({ moved: false, reason: "state" });
  expect(failed).toMatchObject([{ reason: "state", error: { code: "ERR_STATE_NOT_CLONEABLE" } }]);
  expect(await ask("log")).toBe("opened, suspended on 0, resumed 7 on 0");
});

it.each([new SharedArrayBuffer(8), new Blob(["bytes"])])(
  "stays, with everything that waited, when a mail can be copied but not written as bytes: %s",
  async (mail) => {
    const { board, address, socket, failed, ask } = await open();
    await ask("plan held");
    const suspending = once(socket, "message");
    const move = board.move(address, 1);
    expect(String((await suspending)[0])).toBe("suspending");
    const echoed = once(socket, "message");
    socket.send("meanwhile");
    expect(await board.tell(address, mail)).toEqual({ status: "accepted" });
    await board.survey("release");
    expect(await move).toEqual({ moved: false, reason: "state" });
    expect(String((await echoed)[0])).toBe("meanwhile");
    expect(failed).toMatchObject([{ reason: "state", error: { code: "ERR_STATE_NOT_CLONEABLE" } }]);
    expect((await ask("log")).split(", ").slice(2)).toEqual(["resumed 7 on 0", `mailed ${mail} on 0`]);
  },
);

it("lets a handler that is under way end first, and messages behind it be handled in the other shard", async () => {
  const { board, address, socket, ask } = await open();
  const messages: string[] = [];
  socket.on("message", (data) => messages.push(String(data)));
  for (const text of ["hold", "log", "after"]) socket.send(text);
  await vi.waitFor(() => expect(messages).toEqual(["holding"]));
  const move = board.move(address, 1);
  // The order has reached the shard when the shard has answered a later question.
  await board.connections();
  await board.survey("release");
  expect(await move).toEqual({ moved: true });
  await vi.waitFor(() => expect(messages).toHaveLength(4));
  expect(messages).toEqual(["holding", "held", "opened, suspended on 0, resumed 7 on 1", "after"]);
  expect(await ask("still")).toBe("still");
});

it("moves a connection whose handler asks for it", async () => {
  const { board, address, ask } = await open();
  const moves: Promise<unknown>[] = [];
  board.on("reported", ({ address: from, value }) => {
    if (from !== undefined && typeof value === "number") moves.push(board.move(from, value));
  });
  for (const [before, shard] of [1, 0, 1].entries()) {
    expect(await ask(`move ${shard}`)).toBe("asked");
    await vi.waitFor(() => expect(moves).toHaveLength(before + 1));
    // The order has reached the shard when the shard has answered a later question.
    await board.connections();
    await board.survey("release");
  }
  await Promise.all(moves);
  expect(await ask("log")).toMatch(/^opened, suspended on 0, resumed 7 on 1/);
  expect(await board.move(address, 0)).toEqual({ moved: true });
});

it("gives up after 5 s when suspended never resolves, and when a handler goes on, and takes messages meanwhile", async () => {
  const { board, address, failed, ask, socket } = await open();
  await ask("plan hang");
  const second = new WebSocket(socket.url);
  onTestFinished(() => second.terminate());
  await once(second, "open");
  const { connections } = await board.connections();
  const other = connections.find((one) => one.address !== address)?.address as Address;
  second.send("hold");
  await once(second, "message");
  const echoed = once(socket, "message");
  const moves = [board.move(address, 1), board.move(other, 0)];
  socket.send("meanwhile");
  expect(await moves[0]).toEqual({ moved: false, reason: "failed" });
  expect(await moves[1]).toEqual({ moved: false, reason: "busy" });
  expect(String((await echoed)[0])).toBe("meanwhile");
  expect(failed.map(({ reason }) => reason).toSorted()).toEqual(["busy", "failed"]);
  expect(await ask("log")).toBe("opened, suspended on 0");
  const held = once(second, "message");
  await board.survey("release");
  expect(String((await held)[0])).toBe("held");
});

it.each(["fail", "failLater"])("closes with 1011 when resumed plans to %s, and says that it is lost", async (plan) => {
  const { board, address, socket, ask } = await open();
  const failures: ActorFailure[] = [];
  board.on("actorFailed", (failure) => failures.push(failure));
  await ask(`plan ${plan}`);
  const closed = once(socket, "close");
  expect(await board.move(address, 1)).toEqual({ moved: false, reason: "lost" });
  expect((await closed)[0]).toBe(1011);
  expect(failures).toMatchObject([{ handler: "resumed", outcome: "stopped", shard: 1 }]);
  await vi.waitFor(() => expect(board.stats().connections).toBe(0));
  expect(await board.move(address, 0)).toEqual({ moved: false, reason: "gone" });
});

it.each(["evacuate", "reload", "recycle"] as const)(
  "counts a connection whose resumed throws as lost: %s",
  async (order) => {
    const { board, socket, address, ask } = await open();
    const other = new WebSocket(socket.url);
    onTestFinished(() => other.terminate());
    await once(other, "open");
    expect(await board.move(address, 0)).toEqual({ moved: true });
    await vi.waitFor(async () => expect((await board.connections()).connections).toHaveLength(2));
    const second = (await board.connections()).connections.find((one) => one.address !== address)?.address as Address;
    expect(await board.move(second, 0)).toEqual({ moved: true });
    await ask("plan failLater");
    const closed = once(socket, "close");
    if (order === "evacuate") {
      expect(await board.evacuate(0)).toMatchObject({ moved: 1, stayed: { lost: 1 } });
    } else {
      const done = order === "reload" ? board.reload() : board.recycle(0);
      expect(await done).toMatchObject({ moved: 1, kept: 0, closed: 1 });
    }
    expect((await closed)[0]).toBe(1011);
    await vi.waitFor(() => expect(board.stats().connections).toBe(1));
  },
);

it("moves timers by method name with the time that is left, and ends functions", async () => {
  const { board, address, socket, ask } = await open();
  const messages: string[] = [];
  socket.on("message", (data) => messages.push(String(data)));
  const setAt = performance.now();
  socket.send("timers 400");
  socket.send("ready");
  await vi.waitFor(() => expect(messages).toContain("ready"));
  expect(await board.move(address, 1)).toEqual({ moved: true });
  const tookMs = performance.now() - setAt;
  const timers = () => messages.filter((one) => / on [01]$/.test(one));
  await vi.waitFor(() => expect(timers().filter((one) => one === "tick on 1").length).toBeGreaterThan(2));
  expect(timers().filter((one) => one.startsWith("later"))).toHaveLength(1);
  // On a busy machine a timer may be due before the move: no earlier than asked for, and never after it.
  const early = timers().filter((one) => one.endsWith("on 0"));
  expect(timers().slice(0, early.length)).toEqual(early);
  expect(early.filter((one) => one === "tick on 0").length).toBeLessThanOrEqual(tookMs / 200);
  if (tookMs < 400) expect(early).not.toContain("later on 0");
  expect(await ask("log")).toMatch(/opened, suspended on 0, resumed 7 on 1/);
});

it("refuses what makes no sense", async () => {
  const { board, address, ask } = await open();
  await expect(board.move("nonsense" as Address, 1)).rejects.toMatchObject({ code: "ERR_ADDRESS" });
  await expect(board.move("other.0-1" as Address, 1)).rejects.toMatchObject({ code: "ERR_ADDRESS" });
  await expect(board.move(address, 2)).rejects.toMatchObject({ code: "ERR_OPTION" });
  const message = "evacuate: shard takes an integer from 0 to 1, got 2";
  await expect(board.evacuate(2)).rejects.toMatchObject({ code: "ERR_OPTION", message });
  expect(await board.move("0-nobody" as Address, 1)).toEqual({ moved: false, reason: "gone" });
  expect(await board.move(address, 0)).toEqual({ moved: true });
  expect(await ask("log")).toBe("opened");
});

it("disconnects a connection wherever it is, and counts its client once", async () => {
  const { board, address, socket, port } = await open({ maxConnectionsPerAddress: 2 });
  await board.move(address, 1);
  const refused = new WebSocket(`ws://127.0.0.1:${port}/`);
  await once(refused, "open");
  const third = new WebSocket(`ws://127.0.0.1:${port}/`);
  expect(((await once(third, "error"))[0] as Error).message).toContain("429");
  const closed = once(socket, "close");
  expect(await board.disconnect(address, 4000, "moved")).toBe(true);
  expect((await closed)[0]).toBe(4000);
  // The main thread hears of the end a moment after the shard has counted it.
  const fourth = await vi.waitFor(async () => {
    const one = new WebSocket(`ws://127.0.0.1:${port}/`);
    await once(one, "open");
    return one;
  }, 20_000);
  expect(board.stats().connections).toBe(2);
  for (const one of [refused, fourth]) one.terminate();
});

it("loses the connections of a shard that ends, and keeps all others, while everybody moves", async () => {
  const { board, port } = await startBoard({ actor: "moving", shards: 3 });
  board.on("shardLost", () => {});
  const sockets = await Promise.all(
    Array.from({ length: 30 }, async () => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
      onTestFinished(() => socket.terminate());
      await once(socket, "open");
      return socket;
    }),
  );
  const open = new Set(sockets);
  for (const socket of sockets) socket.on("close", () => open.delete(socket));
  const { connections } = await board.connections();
  const moves = connections.map(({ address }, index) => board.move(address, index % 3).catch(() => undefined));
  const replaced = once(board as never, "shardReplaced");
  // The thread of shard 1 ends in the middle of that.
  void board.survey("end").catch(() => {});
  await Promise.all(moves);
  await replaced;
  // The peers of the shard that ended learn of their ends when their own bytes come, not when the board knows.
  await vi.waitFor(() => expect(board.stats().connections).toBe(open.size));
  const answers = await Promise.all(
    [...open].map(async (socket) => {
      const answer = once(socket, "message");
      socket.send("there");
      return String((await answer)[0]);
    }),
  );
  expect(answers).toEqual(Array(open.size).fill("there"));
  expect(open.size).toBeGreaterThan(5);
  expect(open.size).toBeLessThan(30);
});
