import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { selfSigned } from "../support/certificate.ts";
import { freePort } from "../support/free-port.ts";
import { askForWebSocket } from "../support/limited-server.ts";
import { RunningProgram } from "./support/process.ts";

const program = fileURLToPath(new URL("../support/programs/clustered.ts", import.meta.url));
const PATIENCE_MS = 60_000;
const CLIENTS = 40;
const host = "127.0.0.1";

/** Binds a port exclusively and releases it. Rejects while the port is in use. */
async function bindOnce(port: number): Promise<void> {
  const server = createServer().listen(port, host);
  await once(server, "listening");
  server.close();
  await once(server, "close");
}

describe.runIf(process.platform === "linux")("two workers of node:cluster on one port", () => {
  it.each([
    ["an attached server", { attached: true }],
    ["listen", {}],
    ["listen with tls", { tls: selfSigned() }],
    ['listen with handshake: "main"', { handshake: "main" }],
    ['listen with accept: "shard"', { accept: "shard" }],
    ['listen with accept: "shard" and tls', { accept: "shard", tls: selfSigned() }],
  ])("both take connections, and leave the port free when they end: %s", async (_, options) => {
    const port = await freePort();
    const running = new RunningProgram(process.execPath, [program, JSON.stringify({ port, host, ...options })]);
    onTestFinished(() => running.destroy());
    await running.prints(/^(?:listening\n){2}/);
    const isTls = "tls" in options;
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => askForWebSocket(port, isTls, PATIENCE_MS)));
    expect(clients.map(({ outcome }) => outcome)).toEqual(Array(CLIENTS).fill(101));
    for (const { socket } of clients) socket.destroy();
    running.kill("SIGTERM");
    const { code, stdout, stderr } = await running.exit;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const accepted = [...stdout.matchAll(/^connections (\d+)$/gm)].map(([, count]) => Number(count));
    expect(accepted).toHaveLength(2);
    expect(Math.min(...accepted)).toBeGreaterThan(0);
    await bindOnce(port);
  });
});
