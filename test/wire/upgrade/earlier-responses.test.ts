import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { describe, expect, it, vi } from "vitest";
import { onUpgrade } from "../../../src/wire/upgrade/on-upgrade.ts";
import { serveUpgrades, type UpgradeService } from "../../../src/wire/upgrade/serve.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";
import { countLeaks, startHttp } from "./leaks.ts";

countLeaks();

const GET = "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n";
const FOOBAR = upgradeRequest({ headers: { Upgrade: "foobar" } });

const echo: UpgradeService = (request) => {
  onUpgrade(request).then(
    (upgraded) => upgraded.pipe(upgraded),
    () => {},
  );
  return { status: request.method === "CONNECT" ? 200 : 101 };
};

/** A client that has sent requests and an upgrade behind them, and the responses, none of them answered yet. */
async function pipeline(
  requests: number,
  service: UpgradeService = echo,
  upgrade = FOOBAR,
): Promise<{ client: RawClient; responses: ServerResponse[] }> {
  const { server, port } = await startHttp();
  const responses: ServerResponse[] = [];
  server.on("request", (_request, response) => responses.push(response));
  const asked = Promise.withResolvers<void>();
  serveUpgrades(server, (request) => {
    asked.resolve();
    return service(request);
  });
  const client = await RawClient.connect(port);
  client.write(GET.repeat(requests) + upgrade);
  await asked.promise;
  expect(responses).toHaveLength(requests);
  return { client, responses };
}

async function bodyOf(client: RawClient): Promise<string> {
  const { status, headers } = await client.response();
  expect(status).toBe(200);
  return client.take(Number(headers["content-length"]));
}

const send = (response: ServerResponse | undefined, body: string): void => {
  response?.writeHead(200, { "Content-Length": body.length }).end(body);
};

describe("an upgrade behind requests that are still being answered", () => {
  it.each([
    { name: "an upgrade", upgrade: FOOBAR, status: 101 },
    { name: "CONNECT", upgrade: "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", status: 200 },
  ])("is accepted after all of them ($name), and loses no byte", async ({ upgrade, status }) => {
    const { client, responses } = await pipeline(3, echo, upgrade);
    client.write("echo");
    for (const [i, response] of responses.entries()) send(response, `response ${i}`);
    for (const i of responses.keys()) expect(await bodyOf(client)).toBe(`response ${i}`);
    expect((await client.response()).status).toBe(status);
    client.socket.end();
    expect(await client.rest()).toBe("echo");
  });

  it("is refused after them", async () => {
    const { client, responses } = await pipeline(1, () => ({ status: 403 }));
    send(responses[0], "slow");
    expect(await bodyOf(client)).toBe("slow");
    expect((await client.response()).status).toBe(403);
    client.socket.end();
    await client.closed();
  });

  it("is answered with 500 after them when its service fails", async () => {
    const { client, responses } = await pipeline(1, () => Promise.reject(new Error("on demand")));
    send(responses[0], "slow");
    expect(await bodyOf(client)).toBe("slow");
    expect((await client.response()).status).toBe(500);
    client.socket.end();
    await client.closed();
  });

  it("waits for a response that is larger than all buffers", async () => {
    const { client, responses } = await pipeline(1);
    const body = randomBytes(8 * 1024 * 1024).toString("latin1");
    const chunks = Array.from({ length: 128 }, (_, i) =>
      Buffer.from(body.slice(i * 65_536, (i + 1) * 65_536), "latin1"),
    );
    const [response] = responses as [ServerResponse];
    response.writeHead(200, { "Content-Length": body.length });
    Readable.from(chunks).pipe(response);
    expect((await bodyOf(client)) === body).toBe(true);
    expect((await client.response()).status).toBe(101);
    client.socket.end();
    await client.closed();
  });

  it("keeps the body of its own request apart", async () => {
    const read: UpgradeService = async (request) => {
      for await (const chunk of request) expect(String(chunk)).toBe("body");
      return echo(request);
    };
    const upgrade = upgradeRequest({ headers: { Upgrade: "foobar", "Content-Length": "4" } });
    const { client, responses } = await pipeline(1, read, upgrade);
    client.write("bodyecho");
    send(responses[0], "slow");
    expect(await bodyOf(client)).toBe("slow");
    expect((await client.response()).status).toBe(101);
    client.socket.end();
    expect(await client.rest()).toBe("echo");
  });

  it("ends when an earlier response closes the connection", async () => {
    const failed = vi.fn();
    const { client, responses } = await pipeline(1, (request) => {
      onUpgrade(request).catch(failed);
      return { status: 101 };
    });
    responses[0]?.setHeader("Connection", "close");
    send(responses[0], "last");
    expect(await bodyOf(client)).toBe("last");
    client.socket.end();
    expect(await client.rest()).toBe("");
    await vi.waitFor(() => expect(failed).toHaveBeenCalledOnce());
  });

  it("is abandoned when the client leaves, or when an earlier response is destroyed", async () => {
    for (const giveUp of [
      (client: RawClient) => client.reset(),
      (_client: RawClient, response?: ServerResponse) => response?.destroy(),
    ]) {
      const failed = Promise.withResolvers<unknown>();
      const { client, responses } = await pipeline(1, (request) => {
        onUpgrade(request).catch(failed.resolve);
        return { status: 101 };
      });
      const closed = once(client.socket, "close");
      giveUp(client, responses[0]);
      await closed;
      expect(await failed.promise).toMatchObject({ code: "ERR_UPGRADE_ABANDONED" });
    }
  });
});
