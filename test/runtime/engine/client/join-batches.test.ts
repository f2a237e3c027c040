/** Members that join again together: of connections of another process, and when the engine thread was replaced. */
import { expect, it } from "vitest";
import { createMemoryEngine } from "../../../../src/runtime/streams/memory/memory-engine.ts";
import { span, startHost } from "../host.ts";

const TOPIC = "w";
const member = (number: number) => ({ address: `0-${number}`, user: undefined, info: undefined });

/** Lets members join again, and returns the addresses and codes of those that couldn't. */
function joinAgain(client: ReturnType<Awaited<ReturnType<typeof startHost>>["connect"]>["client"], count: number) {
  const failed: unknown[] = [];
  for (const number of span(1, count)) {
    client.joinAgain(TOPIC, member(number), {
      joinFailed: (error) => failed.push([number, (error as { readonly code?: string }).code]),
    });
  }
  return failed;
}

it("more members join again than requests may be under way", async () => {
  const { connect } = await startHost();
  const { client } = connect({ maxUnderWay: 10 });
  const failed = joinAgain(client, 2_000);
  await client.settled();
  expect(await client.memberStats(TOPIC)).toEqual({ connections: 2_000, users: 2_000 });
  expect(failed).toEqual([]);
});

it("more members stay than requests may be under way when the engine thread is replaced", async () => {
  const before = await startHost();
  const { client } = before.connect({ maxUnderWay: 10 });
  joinAgain(client, 2_000);
  await client.settled();
  const { reconnect } = await startHost();
  reconnect(client);
  expect(await client.memberStats(TOPIC)).toEqual({ connections: 2_000, users: 2_000 });
});

it("each member that can't join again is told", async () => {
  const { connect } = await startHost({}, createMemoryEngine({ maxMembers: 3 }, "node-1"));
  const { client } = connect();
  const failed = joinAgain(client, 5);
  await client.settled();
  expect(failed).toEqual([4, 5].map((number) => [number, "ERR_ENGINE_FULL"]));
});

it("all members are told when no engine thread is connected", async () => {
  const { connect } = await startHost();
  const { client, port } = connect();
  port.close();
  await expect.poll(() => client.isConnected).toBe(false);
  const failed = joinAgain(client, 2);
  await client.settled();
  expect(failed).toEqual([1, 2].map((number) => [number, "ERR_ENGINE_UNAVAILABLE"]));
});

it("a member that joins again and leaves in the same tick has left", async () => {
  const { connect } = await startHost();
  const { client } = connect();
  joinAgain(client, 2);
  await client.leave(TOPIC, "0-1");
  expect(await client.members(TOPIC, 10)).toMatchObject([{ address: "0-2" }]);
});

it("a member that is let go stays listed, and one that joins again at once is there", async () => {
  const { connect } = await startHost();
  const [client, watching] = [connect().client, connect().client];
  joinAgain(client, 2);
  client.letGo("0-1", [TOPIC]);
  client.letGo("0-2", [TOPIC]);
  client.joinAgain(TOPIC, member(2), { joinFailed: expect.unreachable });
  await client.settled();
  expect(await watching.memberStats(TOPIC)).toEqual({ connections: 2, users: 2 });
  client.close();
  await expect.poll(() => watching.members(TOPIC, 10)).toMatchObject([{ address: "0-1" }]);
});
