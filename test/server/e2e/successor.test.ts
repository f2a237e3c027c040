/** Requests that come to a server after another process has taken over from it. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, it, onTestFinished } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { freePort } from "../../support/redis-server.ts";
import { API_KEY, INSECURE, launchTestServer } from "../support/server.ts";
import { connected } from "./clients.ts";

/** Begins a request on a connection of its own. The head ends with what `finish` writes. */
async function beginRequest(port: number, path: string): Promise<() => Promise<string>> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  socket.write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${API_KEY}\r\n`);
  return () => {
    socket.write("Content-Length: 2\r\n\r\n{}");
    return text(socket);
  };
}

it.skipIf(whyNoPassing() !== undefined)(
  "answers requests that come to the old process, also while clients are stopped, with what the new one knows",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "switchboard-successor-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const port = await freePort();
    const config = {
      ...INSECURE,
      takeover: join(folder, "socket"),
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
    const next = await launchTestServer(config, 1, port);
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
