/** Clients come back after the server was restarted, and after a shard died. */
import type { Worker } from "node:worker_threads";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { INSECURE, launchTestServer, startTestServer } from "../support/server.ts";
import { codecs } from "./support/clients.ts";
import { next } from "./support/events.ts";
import { callApi, freshChannel, publishAll } from "./support/shared-server.ts";

describe.each(codecs)("a client, $format,", (way) => {
  it("comes back to a server that was restarted, and hears that the history is gone", async () => {
    const channel = freshChannel();
    const before = await launchTestServer();
    const client = await way.connect(before.url);
    const subscription = client.newSubscription(channel);
    subscription.subscribe();
    await subscription.ready();
    const received = next(subscription, "publication");
    await publishAll(before.url, channel, [1]);
    await received;
    const lost = next(client, "connecting");
    await before.close();
    expect(await lost).toEqual({ code: 3001, reason: "shutdown" });
    const subscribed = next(subscription, "subscribed");
    const after = await launchTestServer(INSECURE, 2, before.port);
    onTestFinished(() => after.close());
    expect(await subscribed).toMatchObject({ wasRecovering: true, recovered: false });
    const live = next(subscription, "publication");
    await publishAll(after.url, channel, [2]);
    expect(way.value((await live).data)).toBe(2);
  });

  it("comes back when its shard has died, and gets what it missed", async () => {
    const workers = new Set<Worker>();
    const add = (worker: Worker): void => void workers.add(worker);
    process.on("worker", add);
    onTestFinished(() => void process.off("worker", add));
    const { url, logged } = await startTestServer(INSECURE, 1);
    const channel = freshChannel();
    const client = await way.connect(url);
    const subscription = client.newSubscription(channel);
    const received: unknown[] = [];
    subscription.on("publication", ({ data }) => received.push(way.value(data)));
    subscription.subscribe();
    await subscription.ready();
    await publishAll(url, channel, [1]);
    await vi.waitFor(() => expect(received).toEqual([1]));
    const [lost, subscribed] = [next(client, "connecting"), next(subscription, "subscribed")];
    // The thread of the engine comes after those of the shards.
    const shard = [...workers].at(0);
    await shard?.terminate();
    await lost;
    await callApi(url, "publish", { channel, data: 2 });
    expect(await subscribed).toMatchObject({ wasRecovering: true, recovered: true });
    await vi.waitFor(() => expect(received).toEqual([1, 2]));
    expect(logged.join("\n")).toContain("a shard died");
  });
});
