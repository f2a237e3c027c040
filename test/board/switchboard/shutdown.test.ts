import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import type { Address, StartOptions } from "../../../src/index.ts";
import { startBoard } from "../../support/board.ts";
import { close, text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";
import { ServerProcess } from "../../support/server-process.ts";

const PATH = "/:file/:handler/:ms";
const PATIENT = { timeoutMs: 60_000 };
/** Time for writing a row, in ms: longer than a process takes to end if nothing waits for the row. */
const ROW_MS = 500;
const NEVER_MS = 600_000;
/** Time limits for programs that start and end while others use the machine. */
const TIMEOUT_MS = 120_000;

interface Rows {
  /** Path to connect to. */
  path(handler: string, ms?: number): string;
  read(): string[];
}

function openRows(): Rows {
  const folder = mkdtempSync(join(tmpdir(), "rows-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "rows");
  return {
    path: (handler, ms = ROW_MS) => `/${encodeURIComponent(file)}/${handler}/${ms}`,
    read: () => readFileSync(file, { encoding: "utf8", flag: "a+" }).split("\n").slice(0, -1),
  };
}

async function startServer(drain = PATIENT, start: Partial<StartOptions> = { shards: 1 }): Promise<ServerProcess> {
  return ServerProcess.start({ actor: "recording", path: PATH, closeOnSignals: drain, close: drain, start });
}

/** Answers the close handshake that the server begins, after everything that the server sent before. */
async function answerClose(client: RawClient): Promise<void> {
  for (;;) {
    const { opcode, payload } = await client.frame();
    if (opcode !== 0x8) continue;
    client.write(close(payload.readUInt16BE()));
    client.socket.end();
    return client.closed();
  }
}

/** Opens a connection whose handler of this name is running. */
async function openIn(handler: string, port: number, path: string): Promise<{ client: RawClient; address: Address }> {
  const client = await RawClient.open({ port, path });
  if (handler !== "opened") client.write(text("begin"));
  const [begun, address] = (await client.text()).split(" ");
  expect(begun).toBe(handler);
  return { client, address: address as Address };
}

it.each([
  { signal: "SIGTERM", start: { shards: 2 } },
  { signal: "SIGTERM", start: { shards: 2, sockets: "relay" } },
  { signal: "SIGUSR2", start: { shards: 2 } },
  { signal: "SIGUSR2", start: { shards: 2, sockets: "relay" } },
] as const)(
  "ends a process at $signal after closed has written every row, $start",
  async ({ signal, start }) => {
    const server = await startServer(PATIENT, start);
    const rows = openRows();
    const clients = await Promise.all(
      Array.from({ length: 50 }, () => RawClient.open({ port: server.port, path: rows.path("none") })),
    );
    server.program.kill(signal);
    await Promise.all(clients.map(answerClose));
    expect(await server.tells("closed")).toEqual({ event: "closed", closed: 50, dropped: 0, cut: 0 });
    expect(await server.program.exit).toMatchObject({ code: 0, signal: null, stderr: "" });
    expect(rows.read()).toEqual(Array.from({ length: 50 }, () => "closed 1001"));
  },
  TIMEOUT_MS,
);

it.each(["opened", "received", "mailed", "timer", "detached"])(
  "awaits a running handler when the process ends, and then calls closed: %s",
  async (handler) => {
    const server = await startServer();
    const rows = openRows();
    const { client } = await openIn(handler, server.port, rows.path(handler));
    server.program.kill("SIGTERM");
    await answerClose(client);
    expect(await server.tells("closed")).toEqual({ event: "closed", closed: 1, dropped: 0, cut: 0 });
    expect(await server.program.exit).toMatchObject({ code: 0, stderr: "" });
    expect(rows.read()).toEqual([handler, "closed 1001"]);
  },
  TIMEOUT_MS,
);

it(
  "awaits shuttingDown, and then calls closed",
  async () => {
    const server = await startServer();
    const rows = openRows();
    const client = await RawClient.open({ port: server.port, path: rows.path("shuttingDown") });
    server.program.kill("SIGTERM");
    await answerClose(client);
    expect(await server.tells("closed")).toEqual({ event: "closed", closed: 1, dropped: 0, cut: 0 });
    expect(await server.program.exit).toMatchObject({ code: 0, stderr: "" });
    expect(rows.read()).toEqual(["shuttingDown", "closed 1001"]);
  },
  TIMEOUT_MS,
);

it(
  "also waits for the closed handler of a connection that closed before",
  async () => {
    const server = await startServer();
    const rows = openRows();
    const client = await RawClient.open({ port: server.port, path: rows.path("none") });
    client.write(close(4001));
    await client.closeFrame();
    await client.closed();
    await vi.waitFor(async () => expect((await server.stats()).connections).toBe(0), { timeout: 20_000 });
    server.program.kill("SIGTERM");
    expect(await server.tells("closed")).toEqual({ event: "closed", closed: 0, dropped: 0, cut: 0 });
    expect(await server.program.exit).toMatchObject({ code: 0, stderr: "" });
    expect(rows.read()).toEqual(["closed 4001"]);
  },
  TIMEOUT_MS,
);

it(
  "leaves time for closed when a peer never answers the close handshake",
  async () => {
    const server = await startServer({ timeoutMs: 6_000 });
    const rows = openRows();
    const client = await RawClient.open({ port: server.port, path: rows.path("none", 100) });
    server.program.kill("SIGTERM");
    await client.closed();
    expect(await server.tells("closed")).toEqual({ event: "closed", closed: 0, dropped: 1, cut: 0 });
    expect(await server.program.exit).toMatchObject({ code: 0, stderr: "" });
    expect(rows.read()).toEqual(["closed 1006"]);
  },
  TIMEOUT_MS,
);

it.each(["opened", "received", "mailed", "timer", "none"])(
  "ends the process at the deadline if a handler is slower, and counts it as cut: %s",
  async (handler) => {
    const server = await startServer({ timeoutMs: 2_500 });
    const rows = openRows();
    const { client } =
      handler === "none"
        ? { client: await RawClient.open({ port: server.port, path: rows.path(handler, NEVER_MS) }) }
        : await openIn(handler, server.port, rows.path(handler, NEVER_MS));
    server.program.kill("SIGTERM");
    await answerClose(client);
    expect(await server.tells("closed")).toEqual({ event: "closed", closed: 1, dropped: 0, cut: 1 });
    expect(await server.program.exit).toMatchObject({ code: 0, stderr: "" });
    expect(rows.read()).toEqual([]);
  },
  TIMEOUT_MS,
);

it("answers an ask whose mailed handler is running", async () => {
  const rows = openRows();
  const { board, port } = await startBoard({ actor: "recording", attach: { path: PATH } });
  const client = await RawClient.open({ port, path: rows.path("received", 0) });
  client.write(text("begin"));
  const address = (await client.text()).split(" ")[1] as Address;
  await vi.waitFor(() => expect(rows.read()).toEqual(["received"]));

  const asked = await RawClient.open({ port, path: rows.path("mailed") });
  asked.write(text("begin"));
  const other = (await asked.text()).split(" ")[1] as Address;
  await vi.waitFor(() => expect(rows.read()).toContain("mailed"));
  const answer = board.ask(other, "record", { timeoutMs: 60_000 });
  expect(await asked.text()).toBe(`mailed ${other}`);
  const closing = board.close(PATIENT);
  await Promise.all([answerClose(client), answerClose(asked)]);
  expect(await answer).toBe("recorded");
  expect(await closing).toEqual({ closed: 2, dropped: 0, cut: 0 });
  expect(rows.read()).toEqual(["received", "mailed", "closed 1001", "mailed", "closed 1001"]);
  await expect(board.ask(address, "too late")).rejects.toMatchObject({ code: "ERR_ASK_GONE" });
});

it("lists actors whose connection has closed and that aren't done", async () => {
  const rows = openRows();
  const { board, port } = await startBoard({ actor: "recording", attach: { path: PATH } });
  const client = await RawClient.open({ port, path: rows.path("none") });
  expect(board.stats().shards[0]).toMatchObject({ connections: 1, actors: 1 });
  await client.close();
  await vi.waitFor(() => expect(board.stats().shards[0]).toMatchObject({ connections: 0, actors: 1 }));
  await vi.waitFor(() => expect(board.stats().shards[0]).toMatchObject({ connections: 0, actors: 0 }));
  expect(rows.read()).toEqual(["closed 1000"]);
});
