/** `switchboard run serve` without a config: what the old process has given out is worth the same in the new one. */
import { once } from "node:events";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { freePort } from "../../support/free-port.ts";
import { ended, newFolder, superviseIn } from "./supervise.ts";

async function connect(port: number, token: string): Promise<unknown> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/connection/websocket`);
  await once(socket, "open");
  socket.send(JSON.stringify({ id: 1, connect: { token } }));
  const [answer] = await Promise.race([once(socket, "message"), once(socket, "close")]);
  socket.terminate();
  return JSON.parse(String(answer));
}

describe.skipIf(whyNoPassing() !== undefined)("switchboard run serve without a config", () => {
  it("keeps its secrets when the process is replaced: tokens, and the key of the API", async () => {
    const port = await freePort();
    const takeover = join(newFolder(), "takeover.sock");
    const supervisor = superviseIn({ env: { SWITCHBOARD_TAKEOVER: takeover } }, "serve", "--port", String(port));
    const [, key = ""] = await supervisor.prints(/http_api\.key +(\S+)/);
    const [, token = ""] = await supervisor.prints(/const token = "([^"]+)"/);
    expect(statSync(`${takeover}.secrets`).mode & 0o777).toBe(0o600);
    const info = async (): Promise<number> => {
      const headers = { "X-API-Key": key };
      const answer = await fetch(`http://127.0.0.1:${port}/api/info`, { method: "POST", headers, body: "{}" });
      await answer.text();
      return answer.status;
    };
    expect(await info()).toBe(200);
    supervisor.kill("SIGHUP");
    await supervisor.logs(/took over from pid/);
    expect(await info()).toBe(200);
    expect(await connect(port, token)).toMatchObject({ id: 1, connect: { client: expect.any(String) } });
    supervisor.kill("SIGTERM");
    await ended(supervisor);
  });

  it("doesn't start with secrets that nobody can read", async () => {
    const takeover = join(newFolder(), "takeover.sock");
    writeFileSync(`${takeover}.secrets`, "{");
    const supervisor = superviseIn({ env: { SWITCHBOARD_TAKEOVER: takeover } }, "serve", "--port", "0");
    const { code, stderr } = await ended(supervisor);
    expect(code).toBe(1);
    expect(stderr).toContain(`can't start: ${takeover}.secrets holds no secrets of switchboard serve; remove it`);
    expect(readFileSync(`${takeover}.secrets`, "utf8")).toBe("{");
    expect(existsSync(takeover)).toBe(false);
  });
});
