import { Centrifuge } from "centrifuge";
import { Centrifuge as ProtobufCentrifuge } from "centrifuge/build/protobuf";
import { expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { startTestServer } from "../support/server.ts";

it.each([
  ["json", Centrifuge],
  ["protobuf", ProtobufCentrifuge],
])("%s: a client connects, subscribes, publishes and gets it", async (_, Client) => {
  const server = await startTestServer();
  const client = new Client(server.ws, { websocket: WebSocket });
  onTestFinished(() => client.disconnect());
  client.on("error", (e: unknown) => console.log("error", e));
  const connected = new Promise((resolve) => client.on("connected", resolve));
  client.connect();
  console.log(await connected);
  const sub = client.newSubscription("news");
  const got = new Promise((resolve) => sub.on("publication", resolve));
  const subscribed = new Promise((resolve) => sub.on("subscribed", resolve));
  sub.subscribe();
  console.log(await subscribed);
  const enc = (v: unknown) => (Client === Centrifuge ? v : new TextEncoder().encode(JSON.stringify(v)));
  await sub.publish(enc({ a: 1 }));
  console.log(await got);
  console.log(await sub.presence(), await sub.presenceStats(), await sub.history({ limit: 10 }));
  expect(server.logged).toEqual([]);
});
