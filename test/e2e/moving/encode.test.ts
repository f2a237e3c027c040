/** Subscriptions with an `encode`, which can't move with their connection: `resumed` gives it again, or they end. */
import { once } from "node:events";
import { expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import { type Address, memory, type SubscriptionNotResumed } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";

/** A connection of an `EncodingAgain` actor. */
async function open() {
  const topics = { kept: { history: { size: 10 } } };
  const { board, port } = await startBoard({ actor: "encoding-again", shards: 2, engine: memory(), topics });
  const ended: SubscriptionNotResumed[] = [];
  board.on("subscriptionNotResumed", (one) => ended.push(one));
  board.on("actorFailed", () => {});
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  onTestFinished(() => socket.terminate());
  const told: string[] = [];
  socket.on("message", (data) => told.push(String(data)));
  await once(socket, "open");
  await vi.waitFor(() => expect(told).toEqual(["opened"]));
  const address = (await board.connections()).connections[0]?.address as Address;
  /** Sends a text. Resolves with everything that has come meanwhile. */
  const ask = async (text: string): Promise<string[]> => {
    told.length = 0;
    socket.send(text);
    await vi.waitFor(() => expect(told).toContain("done"));
    return told.filter((one) => one !== "done").toSorted();
  };
  const notResumed = (): number =>
    board.stats().shards.reduce((sum, { subscriptionsNotResumed }) => sum + subscriptionsNotResumed, 0);
  return { board, address, told, ended, ask, notResumed };
}

const BOTH = ["encoded text", "encoded text"];

it("go on at their place when resumed gives it again, and are told the place", async () => {
  const { board, address, told, ended, ask } = await open();
  expect(await ask("text")).toEqual(BOTH);
  const { top } = await board.history("kept");
  await ask("plan again");
  expect(await board.move(address, 1)).toEqual({ moved: true });
  await vi.waitFor(() => expect(told).toContain(JSON.stringify(top)));
  expect(await ask("text")).toEqual(BOTH);
  expect(ended).toEqual([]);
});

it("go on when resumed subscribes anew, from a position", async () => {
  const { board, address, ended, ask } = await open();
  await ask("plan since");
  expect(await board.move(address, 1)).toEqual({ moved: true });
  expect(await ask("text")).toEqual(BOTH);
  expect(ended).toEqual([]);
});

it.each(["nothing", "throw"])("end, are counted and told when resumed does this: %s", async (plan) => {
  const { board, address, ended, ask, notResumed } = await open();
  await ask(`plan ${plan}`);
  expect(await board.move(address, 1)).toEqual({ moved: true });
  expect(await ask("text")).toEqual([]);
  await vi.waitFor(() => expect(ended).toHaveLength(2));
  expect(notResumed()).toBe(2);
  expect(ended.map(({ topic }) => topic).toSorted()).toEqual(["kept", "plain"]);
  expect(ended[0]).toMatchObject({ shard: 1, id: address, actor: undefined });
  expect(ended[0]?.error).toMatchObject({
    code: "ERR_NOT_RESUMED",
    message: expect.stringContaining("subscribe again in resumed, with the encode"),
  });
  expect((await board.connections()).connections[0]).toMatchObject({ topics: 0 });
});

it("end silently when resumed unsubscribes", async () => {
  const { board, address, ended, ask, notResumed } = await open();
  await ask("plan unsubscribe");
  expect(await board.move(address, 1)).toEqual({ moved: true });
  expect(await ask("text")).toEqual([]);
  expect([ended, notResumed()]).toEqual([[], 0]);
});
