import { expect, it } from "vitest";
import { DEFAULT_CHANNEL_OPTIONS } from "../../../../src/server/channels/channel-options.ts";
import type { Channel } from "../../../../src/server/channels/channels.ts";
import type { PublishGrant } from "../../../../src/server/client/backend.ts";
import { type Publisher, publishAs } from "../../../../src/server/client/decisions/publishing.ts";
import { jsonCodec } from "../../../../src/server/protocol/json/codec.ts";

async function publish(historySize: number, grant: PublishGrant) {
  const published: unknown[][] = [];
  const publisher = {
    codec: jsonCodec,
    clientInfo: { user: "ann", client: "1" },
    subscriptions: new Map(),
    facts: () => ({}),
    server: { backend: { publish: async () => ({ kind: "result", result: grant }) } },
    publish: (...call: unknown[]) => {
      published.push(call);
      return {};
    },
  } as unknown as Publisher;
  const options = { ...DEFAULT_CHANNEL_OPTIONS, historySize, publishProxyEnabled: true };
  const channel: Channel = { name: "a", rest: "a", namespace: "", options, isPrivate: false, users: undefined };
  const who = { user: "ann", isSubscribed: false, insecure: false };
  return { answer: await publishAs(publisher, channel, who, Buffer.from("1")), published };
}

it("stores nothing that skips the history", async () => {
  const grant = { skipHistory: true, idempotencyKey: "k" };
  expect((await publish(10, grant)).published[0]?.[2]).toEqual({ self: true, store: false });
  expect((await publish(0, grant)).published[0]?.[2]).toEqual({ self: true, store: false });
});

it("uses the application's idempotency key where the engine can keep it", async () => {
  const options = (grant: PublishGrant, size: number) =>
    publish(size, grant).then(({ published }) => published[0]?.[2]);
  expect(await options({ idempotencyKey: "k" }, 10)).toEqual({ self: true, store: true, idempotencyKey: "k" });
  expect(await options({ idempotencyKey: "k" }, 0)).toEqual({ self: true, store: false });
});
