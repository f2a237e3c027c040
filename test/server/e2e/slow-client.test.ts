/** Clients that don't read, on a whole server. */
import { expect, it } from "vitest";
import { RawClient } from "../support/raw-client.ts";
import { API_KEY, startTestServer } from "../support/server.ts";

it("closes a client that reads too slowly with 3008, after which SDKs come back", async () => {
  const file = { client: { insecure: true, queue_max_size: 65_536 }, http_api: { key: API_KEY } };
  const { ws, board } = await startTestServer(file, 1);
  const client = await RawClient.connected(ws);
  await client.call({ subscribe: { channel: "news" } });
  client.socket.pause();
  const data = JSON.stringify("x".repeat(60_000));
  const closed = () => board.stats().shards[0]?.slowConsumersClosed;
  while (closed() === 0) {
    board.publish("news", data);
    await new Promise(setImmediate);
  }
  client.socket.resume();
  expect(await client.closed).toEqual({ code: 3008, reason: "slow" });
});
