import { expect, it } from "vitest";
import { handleSignals } from "../../../src/board/switchboard/signals.ts";
import { close, text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";
import { type ServerOptions, ServerProcess } from "../../support/server-process.ts";

const PATIENT = { timeoutMs: 20_000 };

async function startServer(
  options: Partial<ServerOptions> = {},
): Promise<{ server: ServerProcess; client: RawClient }> {
  const server = await ServerProcess.start({ actor: "echo", closeOnSignals: PATIENT, ...options });
  const client = await RawClient.open(server);
  client.write(text("hello"));
  expect(await client.text()).toBe("hello");
  return { server, client };
}

it.each(["SIGTERM", "SIGINT"] as const)(
  "closes the board at %s, and lets the process end by itself",
  async (signal) => {
    const { server, client } = await startServer({ closeOnSignals: { ...PATIENT, code: 1012 }, ownPort: true });
    server.program.kill(signal);
    expect(await client.closeFrame()).toEqual({ code: 1012, reason: "server is restarting" });
    client.write(close(1012));
    client.socket.end();
    await client.closed();
    expect(await server.tells("closed")).toEqual({ event: "closed", closed: 1, dropped: 0, cut: 0 });
    expect(await server.program.exit).toMatchObject({ code: 0, signal: null, stderr: "" });
  },
);

it.each([
  ["SIGTERM", "SIGTERM", 143],
  ["SIGTERM", "SIGINT", 130],
  ["SIGINT", "SIGTERM", 143],
] as const)("ends the process at once when %s is followed by %s, with code %i", async (first, second, code) => {
  const { server, client } = await startServer();
  server.program.kill(first);
  // A peer that never answers: the board's close waits for it.
  expect(await client.closeFrame()).toMatchObject({ code: 1001 });
  server.program.kill(second);
  expect(await server.program.exit).toMatchObject({ code, signal: null, stderr: "" });
  await client.closed();
});

it("ends the process at once at a second signal, even while a shard doesn't respond", async () => {
  const { server, client } = await startServer({ actor: "faulty", start: { shards: 1, shardTimeoutMs: 0 } });
  const other = await RawClient.open(server);
  other.write(text("spin"));
  server.program.kill("SIGTERM");
  await server.tells("closing");
  server.program.kill("SIGTERM");
  expect(await server.program.exit).toMatchObject({ code: 143 });
  await client.closed();
});

it("doesn't handle other signals", async () => {
  const { server, client } = await startServer({ closeOnSignals: { ...PATIENT, signals: ["SIGHUP"] } });
  server.program.kill("SIGTERM");
  expect(await server.program.exit).toMatchObject({ code: null, signal: "SIGTERM" });
  await client.closed();
});

it("restores the signals' own behaviour when it is undone", () => {
  const count = (): number[] => ["SIGTERM", "SIGHUP"].map((signal) => process.listenerCount(signal));
  const before = count();
  const takeBack = handleSignals(["SIGTERM", "SIGHUP"], () => {});
  expect(count()).toEqual(before.map((listeners) => listeners + 1));
  takeBack();
  expect(count()).toEqual(before);
});
