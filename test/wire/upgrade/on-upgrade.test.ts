import { once } from "node:events";
import { get, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { describe, expect, it } from "vitest";
import { onUpgrade } from "../../../src/wire/upgrade/on-upgrade.ts";
import { requestUpgrade } from "../../../src/wire/upgrade/request.ts";
import { serveUpgrades, type UpgradeAnswer, type UpgradeService } from "../../../src/wire/upgrade/serve.ts";
import type { Upgraded } from "../../../src/wire/upgrade/upgraded.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";
import { countLeaks, startHttp } from "./leaks.ts";

countLeaks();

/** A service that answers when the test says so. */
function heldService(): {
  service: UpgradeService;
  requested: Promise<IncomingMessage>;
  answer: PromiseWithResolvers<UpgradeAnswer>;
} {
  const requested = Promise.withResolvers<IncomingMessage>();
  const answer = Promise.withResolvers<UpgradeAnswer>();
  const service: UpgradeService = (request) => {
    requested.resolve(request);
    return answer.promise;
  };
  return { service, requested: requested.promise, answer };
}

async function heldExchange(): Promise<{
  server: Server;
  client: RawClient;
  request: IncomingMessage;
  answer: (answer: UpgradeAnswer) => void;
  fail: (error: unknown) => void;
}> {
  const { server, port } = await startHttp();
  const { service, requested, answer } = heldService();
  serveUpgrades(server, service);
  const client = await RawClient.connect(port);
  client.write(upgradeRequest({ headers: { Upgrade: "foobar" } }));
  return { server, client, request: await requested, answer: answer.resolve, fail: answer.reject };
}

const settled = async (promise: Promise<unknown>): Promise<boolean> =>
  Promise.race([promise.then(() => true).catch(() => true), new Promise<false>((r) => setImmediate(r, false))]);

async function closeBoth(client: RawClient, upgraded: Duplex): Promise<void> {
  upgraded.destroy();
  await client.closed();
}

describe("on a server's request", () => {
  it("waits for the 101, and resolves when it has been sent", async () => {
    const { client, request, answer } = await heldExchange();
    const upgraded = onUpgrade(request);
    expect(await settled(upgraded)).toBe(false);
    answer({ status: 101 });
    (await upgraded).write("first");
    const response = await client.response();
    expect(response).toMatchObject({ status: 101, headers: { upgrade: "foobar", connection: "Upgrade" } });
    await closeBoth(client, await upgraded);
    expect(await client.rest()).toBe("first");
  });

  it("gives the same stream to every call, before the 101 and long after", async () => {
    const { client, request, answer } = await heldExchange();
    const before = onUpgrade(request);
    answer({ status: 101 });
    await client.response();
    await before;
    expect(await onUpgrade(request)).toBe(await before);
    await closeBoth(client, await before);
    expect(await onUpgrade(request)).toBe(await before);
  });

  it("gives the bytes that came with the request and during the wait, in order", async () => {
    const { server, port } = await startHttp();
    const { service, requested, answer } = heldService();
    serveUpgrades(server, service);
    const client = await RawClient.connect(port);
    client.write(`${upgradeRequest({ headers: { Upgrade: "foobar" } })}with `);
    const request = await requested;
    for (const letter of "during the wait ") client.write(letter);
    answer.resolve({ status: 101 });
    await client.response();
    client.socket.end("after");
    const upgraded = await onUpgrade(request);
    let text = "";
    for await (const chunk of upgraded) text += chunk;
    expect(text).toBe("with during the wait after");
  });

  it("rejects when the service refuses, before and after the refusal", async () => {
    const { client, request, answer } = await heldExchange();
    const upgraded = onUpgrade(request);
    answer({ status: 403, body: "no" });
    await expect(upgraded).rejects.toMatchObject({
      code: "ERR_UPGRADE_REFUSED",
      message: expect.stringContaining("403"),
    });
    expect((await client.response()).status).toBe(403);
    await expect(onUpgrade(request)).rejects.toMatchObject({ code: "ERR_UPGRADE_REFUSED" });
    client.socket.end();
    await client.closed();
  });

  it("rejects with the error that the service throws, and the peer gets 500", async () => {
    const { client, request, fail } = await heldExchange();
    fail(new Error("database is down"));
    await expect(onUpgrade(request)).rejects.toThrow("database is down");
    const { status } = await client.response();
    expect(status).toBe(500);
    expect(await client.rest()).not.toContain("database");
  });

  it("rejects when the peer is gone before the answer, which is then dropped", async () => {
    const { client, request, answer } = await heldExchange();
    const upgraded = onUpgrade(request);
    client.reset();
    await expect(upgraded).rejects.toMatchObject({
      code: "ERR_UPGRADE_ABANDONED",
      kind: "closed",
      cause: { code: "ECONNRESET" },
    });
    answer({ status: 101 });
    await expect(onUpgrade(request)).rejects.toMatchObject({ code: "ERR_UPGRADE_ABANDONED" });
  });

  it("gives a stream that ends when the peer ended its direction before the answer", async () => {
    const { client, request, answer } = await heldExchange();
    client.socket.allowHalfOpen = true;
    client.socket.end("last words");
    answer({ status: 101 });
    const upgraded = await onUpgrade(request);
    const chunks: Buffer[] = [];
    for await (const chunk of upgraded.iterator({ destroyOnReturn: false })) chunks.push(chunk);
    upgraded.end("answer");
    expect(Buffer.concat(chunks).toString()).toBe("last words");
    expect((await client.response()).status).toBe(101);
    expect(await client.rest()).toBe("answer");
  });

  it("raises no unhandledRejection when a failed upgrade isn't asked for", async () => {
    const { client, answer } = await heldExchange();
    answer({ status: 400 });
    expect((await client.response()).status).toBe(400);
    client.socket.end();
    await client.closed();
  });
});

describe("on a message that can't become a stream", () => {
  it("rejects for a plain request and its response", async () => {
    const { server, port } = await startHttp();
    const onServer = new Promise<unknown>((resolve) => {
      server.on("request", (request, response) => {
        resolve(onUpgrade(request).catch((error: unknown) => error));
        response.end();
      });
    });
    const [response]: [IncomingMessage] = (await once(
      get({ port, host: "127.0.0.1", agent: false }),
      "response",
    )) as never;
    response.resume();
    expect(await onServer).toMatchObject({ code: "ERR_NOT_AN_UPGRADE", kind: "misuse" });
    await expect(onUpgrade(response)).rejects.toMatchObject({ code: "ERR_NOT_AN_UPGRADE" });
  });

  it("rejects for an upgrade that another listener serves", async () => {
    const { server, port } = await startHttp();
    const upgrading = once(server, "upgrade") as Promise<[IncomingMessage, Duplex]>;
    const client = await RawClient.connect(port);
    client.write(upgradeRequest());
    const [request, socket] = await upgrading;
    await expect(onUpgrade(request)).rejects.toMatchObject({ code: "ERR_NOT_AN_UPGRADE" });
    await closeBoth(client, socket);
  });
});

describe("on a client's response", () => {
  it("gives the stream that requestUpgrade gives, also after the switch", async () => {
    const { server, port } = await startHttp();
    const accepted = new Promise<Upgraded>((resolve) => {
      serveUpgrades(server, (request) => {
        onUpgrade(request).then(resolve);
        return { status: 101 };
      });
    });
    const { response, upgraded } = await requestUpgrade(`http://127.0.0.1:${port}`, "foobar");
    expect(response.statusCode).toBe(101);
    const stream = await onUpgrade(response);
    expect(stream).toBe(await upgraded);
    stream.end("to the server");
    const received: Buffer[] = [];
    for await (const chunk of await accepted) received.push(chunk);
    expect(Buffer.concat(received).toString()).toBe("to the server");
    stream.destroy();
  });
});
