/** How the command ends: at a signal, also as process 1 of a container. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Centrifuge } from "centrifuge";
import { expect, it, onTestFinished, vi } from "vitest";
import { switchboardIn } from "../../cli/program.ts";
import { projectFolder, RunningProgram } from "../../e2e/support/process.ts";
import { startApplication } from "../hooks/support/application.ts";

/** A client that tells the codes with which it is sent away. */
async function connect(url: string): Promise<{ left: Promise<{ code: number }> }> {
  const client = new Centrifuge(url, { minReconnectDelay: 60_000 });
  onTestFinished(() => client.disconnect());
  const { promise: left, resolve } = Promise.withResolvers<{ code: number }>();
  client.connect();
  await client.ready();
  client.on("connecting", resolve);
  return { left };
}

function writeConfig(config: object): string {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-ending-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "config.json");
  writeFileSync(
    file,
    JSON.stringify({
      client: { insecure: true },
      http_api: { key: "a key that is long enough" },
      http_server: { port: 0 },
      ...config,
    }),
  );
  return file;
}

it("says that it isn't ready, then closes clients with 3001, then tells the application, then ends", async () => {
  const told: string[] = [];
  const application = await startApplication((response, { text }) => {
    told.push(text);
    response.end();
  });
  const file = writeConfig({
    hooks: { disconnect: { enabled: true, endpoint: application.url } },
    shutdown: { readiness_delay: "5s" },
  });
  const server = switchboardIn({}, "serve", "--config", file);
  const [, clients = ""] = await server.prints(/clients +(ws:\S+)/);
  const [, health = ""] = await server.prints(/health +(http:\S+)/);
  const { left } = await connect(clients);
  let hasLeft = false;
  left.then(() => {
    hasLeft = true;
  });
  expect((await fetch(health)).status).toBe(200);
  server.kill("SIGTERM");
  await vi.waitFor(async () => expect((await fetch(health)).status).toBe(503));
  expect(hasLeft).toBe(false);
  expect(await left).toMatchObject({ code: 3001 });
  expect(await server.exit).toMatchObject({ code: 0 });
  expect(told.join()).toContain('"name":"disconnect"');
  expect(told.join()).toContain('"code":3001');
});

const canIsolate = spawnSync("unshare", ["--pid", "--fork", "--mount-proc", "true"]).status === 0;
if (!canIsolate) console.log("skipped: unshare makes no process 1 here");

it.skipIf(!canIsolate)("ends at SIGTERM as process 1", async () => {
  const args = [process.execPath, `${projectFolder}src/cli/main.ts`, "serve", "--config", writeConfig({})];
  const container = new RunningProgram("unshare", ["--pid", "--fork", "--mount-proc", "--", ...args]);
  onTestFinished(() => container.destroy());
  const [, clients = ""] = await container.prints(/clients +(ws:\S+)/);
  const { left } = await connect(clients);
  const { stdout } = spawnSync("pgrep", ["-P", String(container.pid)], { encoding: "utf8" });
  process.kill(Number(stdout.trim()), "SIGTERM");
  expect(await left).toMatchObject({ code: 3001 });
  const { code, stderr } = await container.exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining("closed") });
});
