import { expect, it } from "vitest";
import { WebSocket } from "ws";
import { startBoard } from "../support/board.ts";
import { Peer, type StandardSocketClass } from "./support/peer.ts";

const options = {
  actor: new URL("../../src/cli/demo/chat.ts", import.meta.url),
  shards: 2,
  attach: { path: "/chat/:room", authorize: () => ({ session: { shards: 2 } }) },
};

function open(port: number, room = "lobby"): Promise<Peer> {
  return Peer.open(WebSocket as unknown as StandardSocketClass, `ws://127.0.0.1:${port}/chat/${room}`);
}

interface Welcome {
  readonly id: string;
  readonly shard: number;
}

/** Opens a connection and sets its name. The peer itself hears of that first. */
async function join(port: number, name: string, room?: string): Promise<{ peer: Peer; id: string; shard: number }> {
  const peer = await open(port, room);
  const { id, shard } = (await peer.nextJson()) as Welcome;
  peer.sendJson({ type: "name", name });
  expect(await peer.nextJson()).toEqual({ type: "joined", name, shard });
  return { peer, id, shard };
}

it("welcomes a peer with its shard and the number of shards", async () => {
  const { port } = await startBoard(options);
  const peer = await open(port);
  expect(await peer.nextJson()).toEqual({
    type: "welcome",
    id: expect.any(String),
    shard: expect.toBeOneOf([0, 1]),
    shards: 2,
  });
});

it("tells every member of a room, on all shards, who joined, what they said and who left", async () => {
  const { port } = await startBoard(options);
  const ada = await join(port, "Ada");
  const grace = await join(port, "Grace");
  expect(grace.shard).not.toBe(ada.shard);
  expect(await ada.peer.nextJson()).toEqual({ type: "joined", name: "Grace", shard: grace.shard });

  grace.peer.sendJson({ type: "say", text: "  hello  " });
  const said = { type: "said", from: grace.id, name: "Grace", shard: grace.shard, text: "hello" };
  expect(await ada.peer.nextJson()).toEqual(said);
  expect(await grace.peer.nextJson()).toEqual(said);

  grace.peer.sendJson({ type: "name", name: "Hopper" });
  const renamed = { type: "renamed", name: "Hopper", shard: grace.shard, before: "Grace" };
  expect(await ada.peer.nextJson()).toEqual(renamed);

  await grace.peer.close(1000);
  expect(await ada.peer.nextJson()).toEqual({ type: "left", name: "Hopper", shard: grace.shard });
});

it("doesn't send messages to other rooms", async () => {
  const { port } = await startBoard(options);
  const ada = await join(port, "Ada", "one");
  const grace = await join(port, "Grace", "two");
  grace.peer.sendJson({ type: "say", text: "only here" });
  await grace.peer.nextJson();
  ada.peer.sendJson({ type: "say", text: "and only there" });
  expect(await ada.peer.nextJson()).toMatchObject({ text: "and only there" });
});

it.each([
  ["no JSON", "hello"],
  ["JSON of another kind", "[1, 2]"],
  ["null", "null"],
  ["an unknown type", '{"type":"shout","text":"hello"}'],
  ["a name that isn't a string", '{"type":"name","name":{"toString":1}}'],
  ["a message without text", '{"type":"say"}'],
])("closes with 1008 on %s", async (_, sent) => {
  const { port } = await startBoard(options);
  const peer = await open(port);
  peer.send(sent);
  expect(await peer.closed).toMatchObject({ code: 1008, reason: expect.stringContaining("expected") });
});

it.each([
  ["an empty name", { type: "name", name: "  " }, "A name has 1 to 32 characters."],
  ["a long name", { type: "name", name: "x".repeat(33) }, "A name has 1 to 32 characters."],
  ["an empty message", { type: "say", text: "\n" }, "A message has 1 to 1000 characters."],
  ["a long message", { type: "say", text: "x".repeat(1_001) }, "A message has 1 to 1000 characters."],
])("answers %s with a notice to the sender only", async (_, sent, notice) => {
  const { port } = await startBoard(options);
  const { peer } = await join(port, "Ada");
  peer.sendJson(sent);
  expect(await peer.nextJson()).toEqual({ type: "notice", text: notice });
});

it("asks for a name before the first message", async () => {
  const { port } = await startBoard(options);
  const peer = await open(port);
  await peer.nextJson();
  peer.sendJson({ type: "say", text: "hello" });
  expect(await peer.nextJson()).toEqual({ type: "notice", text: "Give your name first." });
});

it("closes with 1008 when the name of the room is too long", async () => {
  const { port } = await startBoard(options);
  const peer = await open(port, "x".repeat(65));
  expect(await peer.closed).toMatchObject({ code: 1008 });
});
