import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { constants } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Switchboard } from "../../src/index.ts";
import { startBoard } from "../support/board.ts";
import { text } from "../support/frames.ts";
import { start as startHttp2 } from "../support/http2-board.ts";
import { ask, Http2Client } from "../support/http2-client.ts";
import { RawClient, upgradeRequest } from "../support/raw-client.ts";

/**
 * No watchdog ends the shard while it is blocked, a handoff has more time than it takes on a busy machine, and two
 * connections fit.
 */
const OPTIONS = { actor: "blocking", shards: 1, shardTimeoutMs: 0, handoffTimeoutMs: 2_000, maxConnectionsPerShard: 2 };

function gate() {
  const folder = mkdtempSync(join(tmpdir(), "switchboard-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "gate");
  return {
    path,
    open: (): void => writeFileSync(path, ""),
    held: async (): Promise<void> => vi.waitFor(() => expect(existsSync(`${path}.held`)).toBe(true), 10_000),
  };
}

function failureOf(board: Switchboard): Promise<Error> {
  return new Promise((resolve) => board.once("handshakeFailed", resolve));
}

async function ask101(port: number): Promise<RawClient> {
  const client = await RawClient.connect(port);
  client.write(upgradeRequest());
  return client;
}

describe("a handoff to a blocked shard", () => {
  it.each([
    { way: "moved after the handshake", sockets: "auto", handshake: "main", status: undefined },
    { way: "moved before the handshake", sockets: "auto", handshake: "shard", status: undefined },
    { way: "relayed", sockets: "relay", handshake: "main", status: 503 },
  ] as const)("fails at its deadline, and counts once ($way)", async ({ sockets, handshake, status }) => {
    const limits = handshake === "main" ? {} : { maxConnectionsPerShard: 3 };
    const { board, port } = await startBoard({ ...OPTIONS, ...limits, sockets, attach: { handshake } });
    const { path, open, held } = gate();
    const first = await RawClient.open({ port });
    first.write(text(`block ${path}`));
    await held();

    const failure = failureOf(board);
    const late = await ask101(port);
    const lateClosed = new Promise((resolve) => late.socket.once("close", resolve));
    expect(await failure).toMatchObject({ code: "ERR_HANDOFF_TIMEOUT" });
    if (status !== undefined) expect((await late.response()).status).toBe(status);
    expect(board.ready).toBe(false);
    const refused = await ask101(port);
    expect(await refused.response()).toMatchObject({ status: 503, headers: { "retry-after": expect.any(String) } });

    open();
    expect(await first.text()).toBe(`block ${path}`);
    await lateClosed;
    await vi.waitFor(() => expect(board.ready).toBe(true));
    const next = await RawClient.open({ port });
    next.write(text("hello"));
    expect(await next.text()).toBe("hello");
    const { connections, upgrades, shards } = board.stats();
    const timedOut = status === undefined ? { refused: { 503: 1 }, failed: 1 } : { refused: { 503: 2 }, failed: 0 };
    expect(upgrades).toMatchObject({ accepted: 2, abandoned: 0, timedOut: 0, ...timedOut });
    expect({ connections, opened: shards[0]?.connectionsOpened, failed: shards[0]?.handoffsFailed }).toEqual({
      connections: 2,
      opened: 2,
      failed: 1,
    });
    next.socket.destroy();
    await vi.waitFor(() => expect(board.stats().connections).toBe(1));
    // The places of the handoff that failed and of the peer that left are free.
    await RawClient.open({ port });
  });

  it("resets an HTTP/2 stream at its deadline, and doesn't affect its session", async () => {
    const { board, session } = await startHttp2(OPTIONS);
    const { path, open, held } = gate();
    const first = await Http2Client.open(session);
    first.stream.write(text(`block ${path}`));
    await held();
    const failure = failureOf(board);
    const late = ask(session);
    const reset = new Promise((resolve) => late.on("error", () => {}).once("close", resolve));
    expect(await failure).toMatchObject({ code: "ERR_HANDOFF_TIMEOUT" });
    await reset;
    expect(late.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
    open();
    expect((await first.frame()).payload.toString()).toBe(`block ${path}`);
    await vi.waitFor(() => expect(board.ready).toBe(true));
    await Http2Client.open(session);
    // The client gets the 200 before the shard has the stream.
    const counts = { connections: 2, upgrades: { accepted: 2, failed: 1 } };
    await vi.waitFor(() => expect(board.stats()).toMatchObject(counts));
  });
});

/** Objects nested this many levels deep. */
function nested(depth: number): object {
  let value: object = {};
  for (let i = 0; i < depth; i++) value = { value };
  return value;
}

/**
 * Largest number of levels that this thread's stack can clone, less a tenth: the call may come from deeper in the
 * stack.
 */
function deepestCloneable(): number {
  let [fits, fails] = [1, 100_000];
  while (fails - fits > 10) {
    const depth = (fits + fails) >> 1;
    try {
      structuredClone(nested(depth));
      fits = depth;
    } catch {
      fails = depth;
    }
  }
  return Math.floor(fits * 0.9);
}

it("fails at once when the shard can't deserialize its message, and the next handoff succeeds", async () => {
  // The shard's smaller stack reads fewer levels than this thread's.
  let depth = deepestCloneable();
  const authorize = () => ({ session: nested(depth) });
  const { board, port } = await startBoard({ resourceLimits: { stackSizeMb: 1 }, attach: { authorize } });
  const failure = failureOf(board);
  const unread = await ask101(port);
  const closed = new Promise((resolve) => unread.socket.once("close", resolve));
  expect(await failure).toMatchObject({ name: "RangeError", message: expect.stringContaining("call stack") });
  await closed;
  depth = 1;
  await RawClient.open({ port });
  expect(board.stats()).toMatchObject({ connections: 1, upgrades: { accepted: 1, failed: 1 } });
});
