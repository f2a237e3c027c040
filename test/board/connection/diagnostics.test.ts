import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { expect, it, onTestFinished } from "vitest";
import type { UpgradeDiagnostics } from "../../../src/index.ts";
import { actorUrl, startBoard } from "../../support/board.ts";
import { text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";

async function ask(client: RawClient): Promise<string[]> {
  client.write(text("tell"));
  return JSON.parse(await client.text()).published;
}

it("traces handlers and connections in their shard, and upgrades in the thread that answers them", async () => {
  const { board, port } = await startBoard({ actor: "traced", attach: { accept: "shard" } });
  board.on("actorFailed", () => {});
  const client = await RawClient.open({ port });
  const [upgraded, ...others] = await ask(client);
  expect([upgraded, ...others]).toEqual([
    expect.stringMatching(/^opened 0-/),
    "opened start",
    "opened end",
    "upgrade localhost accepted ",
    "received start",
    "received end",
  ]);
  client.write(text("fail"));
  expect(await ask(client)).toEqual([
    "received asyncStart",
    "received asyncEnd ",
    "received start",
    "received end",
    "received error on demand",
    "received asyncStart",
    "received asyncEnd ",
    "received start",
    "received end",
  ]);
  const other = await RawClient.open({ port });
  await ask(other);
  await other.close(4000);
  const after = await ask(client);
  expect(after).toContain("closed 4000 ");
  expect(after).toContain("closed start");
});

it("names the actor module of a connection and of a handler, if the module has a name", async () => {
  const attach = { accept: "shard" as const, actor: "admin" };
  const { port } = await startBoard({ actors: { admin: actorUrl("traced") }, attach });
  const client = await RawClient.open({ port });
  const published = await ask(client);
  expect(published).toContainEqual(expect.stringMatching(/^opened 0-.* of admin$/));
  expect(published).toContain("received start of admin");
  const other = await RawClient.open({ port });
  await ask(other);
  await other.close(4000);
  expect(await ask(client)).toContain("closed 4000  of admin");
});

it("publishes the upgrades that the main thread answers in the main thread", async () => {
  const { port } = await startBoard();
  const published: string[] = [];
  const listener = (message: unknown): void => {
    const { request, outcome, status } = message as UpgradeDiagnostics;
    published.push(`${request?.headers.upgrade} ${outcome} ${status}`);
  };
  subscribe("switchboard:upgrade", listener);
  onTestFinished(() => void unsubscribe("switchboard:upgrade", listener));
  await expect(RawClient.open({ port, headers: { "Sec-WebSocket-Key": "x" } })).rejects.toThrow("400");
  const client = await RawClient.open({ port });
  client.write(text("hello"));
  await client.text();
  await expect.poll(() => published).toEqual(["websocket refused 400", "websocket accepted undefined"]);
});
