import { readdirSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { startBoard } from "../support/board.ts";
import { text } from "../support/frames.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";

const never = (): Promise<never> => new Promise(() => {});

const descriptors = (): number => readdirSync("/proc/self/fd").length;

async function expectEcho(port: number): Promise<void> {
  const client = await RawClient.open({ port, head: text("hello") });
  expect(await client.text()).toBe("hello");
  await client.close();
}

describe("a peer that leaves during its handshake", () => {
  it("is counted as abandoned at once when it resets while authorize is pending", async () => {
    const asked = Promise.withResolvers<void>();
    const { board, port } = await startBoard({
      attach: {
        authorize: () => {
          asked.resolve();
          return never();
        },
      },
    });
    const client = await RawClient.connect(port);
    client.write(upgradeRequest());
    await asked.promise;
    client.reset();
    await vi.waitFor(() => expect(board.stats().upgrades.abandoned).toBe(1), 5_000);
    expect(board.stats().upgrades).toEqual({
      accepted: 0,
      refused: {},
      abandoned: 1,
      timedOut: 0,
      failed: 0,
      passedOn: 0,
    });
  });

  it("is counted as abandoned when it resets while authorize is pending, even if authorize then admits it", async () => {
    const asked = Promise.withResolvers<void>();
    const verdict = Promise.withResolvers<{ session: string }>();
    const { board, port } = await startBoard({
      attach: {
        authorize: () => {
          asked.resolve();
          return verdict.promise;
        },
      },
    });
    const client = await RawClient.connect(port);
    client.write(upgradeRequest());
    await asked.promise;
    client.reset();
    await vi.waitFor(() => expect(board.stats().upgrades.abandoned).toBe(1), 5_000);
    verdict.resolve({ session: "late" });
    await expectEcho(port);
    expect(board.stats().upgrades).toMatchObject({ accepted: 1, abandoned: 1, failed: 0 });
    expect(board.stats().shards[0]).toMatchObject({ connectionsOpened: 1 });
  });

  it("leaves nothing behind when it resets right after its request", async () => {
    let authorized = 0;
    const { board, port } = await startBoard({
      attach: {
        authorize: () => {
          authorized++;
          return { session: undefined };
        },
      },
    });
    await expectEcho(port);
    await vi.waitFor(() => expect(board.stats().connections).toBe(0));
    const before = descriptors();
    for (let i = 0; i < 100; i++) {
      const client = await RawClient.connect(port);
      await new Promise<void>((resolve) => client.socket.write(upgradeRequest(), () => resolve()));
      client.reset();
      await client.closed();
    }
    await vi.waitFor(() => {
      const { upgrades, connections } = board.stats();
      expect(connections).toBe(0);
      expect(upgrades.accepted + upgrades.abandoned + upgrades.failed).toBe(authorized);
      expect(descriptors()).toBeLessThanOrEqual(before);
    }, 5_000);
    expect(board.stats().upgrades.failed).toBe(0);
    await expectEcho(port);
  });
});

describe("a handshake that doesn't finish", () => {
  // Longer than a busy machine takes for the handshakes that succeed.
  const handshakeTimeoutMs = 1_500;

  it("is closed and counted when authorize never resolves", async () => {
    const { board, port } = await startBoard({ attach: { authorize: never, handshakeTimeoutMs } });
    const startedAt = performance.now();
    const client = await RawClient.connect(port);
    client.write(upgradeRequest());
    await client.closed();
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(handshakeTimeoutMs - 1);
    await vi.waitFor(() => expect(board.stats().upgrades.timedOut).toBe(1));
    expect(board.stats().upgrades).toMatchObject({ accepted: 0, abandoned: 0, failed: 0 });
    expect(await client.rest()).not.toContain("101");
  });

  it("is refused when authorize resolves after the deadline", async () => {
    const verdict = Promise.withResolvers<{ session: undefined }>();
    let asked = 0;
    const authorize = () => (asked++ === 0 ? verdict.promise : { session: undefined });
    const { board, port } = await startBoard({ attach: { authorize, handshakeTimeoutMs } });
    const client = await RawClient.connect(port);
    client.write(upgradeRequest());
    await client.closed();
    verdict.resolve({ session: undefined });
    await expectEcho(port);
    expect(board.stats().upgrades).toMatchObject({ accepted: 1, timedOut: 1 });
    expect(board.stats().shards[0]).toMatchObject({ connectionsOpened: 1 });
  });

  it.each([
    ["nothing is sent", ""],
    ["the request line is cut", "GET / HT"],
    ["the headers are cut", upgradeRequest().slice(0, 60)],
    ["only the last line end is missing", upgradeRequest().slice(0, -2)],
  ])("is closed when %s", async (_, half) => {
    const { board, port } = await startBoard({ attach: { handshakeTimeoutMs } });
    const startedAt = performance.now();
    const client = await RawClient.connect(port);
    if (half !== "") client.write(half);
    expect(await client.rest()).not.toContain("101");
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(handshakeTimeoutMs - 1);
    expect(board.stats().upgrades.accepted).toBe(0);
    await expectEcho(port);
  });

  it("doesn't end the connections that are open", async () => {
    const { board, port } = await startBoard({ attach: { handshakeTimeoutMs } });
    const open = await RawClient.open({ port });
    const half = await RawClient.connect(port);
    half.write("GET / HTTP/1.1\r\n");
    await half.closed();
    open.write(text("still here"));
    expect(await open.text()).toBe("still here");
    expect(board.stats().connections).toBe(1);
  });
});
