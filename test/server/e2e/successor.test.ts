/** Requests that come to a server after another process has taken over from it. */
import { expect, it, onTestFinished, vi } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { aliasOf, takeoverPath } from "../../e2e/takeover/server-process.ts";
import { freePort } from "../../support/free-port.ts";
import { API_KEY, INSECURE, launchTestServer } from "../support/server.ts";
import { callApi, connected, listen, newClient } from "./clients.ts";
import { beginRequest } from "./support/begun-request.ts";

it.skipIf(whyNoPassing() !== undefined)(
  "answers requests that come to the old process, also while clients are stopped, with what the new one knows",
  async () => {
    const takeover = takeoverPath();
    const port = await freePort();
    const config = {
      ...INSECURE,
      takeover,
      health: { enabled: true },
      prometheus: { enabled: true },
    };
    const old = await launchTestServer(config, 1, port);
    const client = await connected(old.url);
    const requests = await Promise.all(
      ["/api/info", "/health", "/metrics", "/elsewhere"].map((path) => beginRequest(port, path)),
    );
    const early = await beginRequest(port, "/api/info");
    const duringTakeover = new Promise((resolve) => old.board.once("handingOver", () => resolve(early())));
    const handedOver = new Promise((resolve) => old.board.once("handedOver", resolve));
    const next = await launchTestServer({ ...config, takeover: aliasOf(takeover) }, 1, port);
    onTestFinished(() => next.close());
    await handedOver;
    const [info, health, metrics, other] = await Promise.all(requests.map((finish) => finish()));
    expect(await duringTakeover).toMatch(/^HTTP\/1\.1 200 OK\r\n.*"num_clients":1,/s);
    expect(info).toMatch(/^HTTP\/1\.1 200 OK\r\n.*"num_clients":1,/s);
    expect(health).toMatch(/^HTTP\/1\.1 200 OK\r\n.*"ready":true/s);
    expect(metrics).toMatch(/\nswitchboard_connections\b[^\n]* 1\n/);
    expect(other).toMatch(/^HTTP\/1\.1 404 /);
    await old.handedOver;
    expect(client.state).toBe("connected");
  },
);

it.skipIf(whyNoPassing() !== undefined)(
  "keeps history, positions, idempotency keys and presence in memory, also for a client that is away meanwhile",
  async () => {
    const takeover = takeoverPath();
    const port = await freePort();
    const config = { ...INSECURE, takeover };
    const old = await launchTestServer(config, 1, port);
    const api = async (method: string, params: object) => (await callApi(old.url, API_KEY, method, params)).result;
    const publish = (number: number) => {
      return api("publish", { channel: "news", data: number, idempotency_key: `key ${number}` });
    };
    const client = await connected(old.url);
    const heard = await listen(client, "news");
    const away = newClient(old.url);
    const subscription = away.newSubscription("news");
    const missed: unknown[] = [];
    subscription.on("publication", ({ data }) => missed.push(data));
    subscription.subscribe();
    away.connect();
    await subscription.ready();
    const first = await publish(1);
    away.disconnect();
    const second = await publish(2);
    const handedOver = new Promise((resolve) => old.board.once("handedOver", resolve));
    const next = await launchTestServer({ ...config, takeover: aliasOf(takeover) }, 1, port);
    onTestFinished(() => next.close());
    await handedOver;
    await old.handedOver;
    expect(await publish(1)).toEqual(first);
    expect(await publish(2)).toEqual(second);
    expect(await publish(3)).toEqual({ ...second, offset: 3 });
    const recovered = new Promise((resolve) => subscription.on("subscribed", resolve));
    away.connect();
    expect(await recovered).toMatchObject({ wasRecovering: true, recovered: true });
    expect(await api("history", { channel: "news", limit: 10 })).toMatchObject({
      offset: 3,
      publications: [1, 2, 3].map((data) => ({ data })),
    });
    expect(await api("presence_stats", { channel: "news" })).toMatchObject({ num_clients: 2 });
    await publish(4);
    await vi.waitFor(() =>
      expect([heard, missed]).toEqual([
        [1, 2, 3, 4],
        [1, 2, 3, 4],
      ]),
    );
  },
);
