/** Shards that end while they take connections in: no descriptor stays open, and no peer waits for ever. */
import { readdirSync, readlinkSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import type { ShardHandle } from "../../../../src/board/switchboard/pool/shard-handle.ts";
import { PassedIn } from "../../../../src/board/switchboard/takeover/passed-in.ts";
import { whyNoPassing } from "../../../../src/wire/native/pass-descriptors.ts";
import { whyNoUring } from "../../../../src/wire/native/ring.ts";
import { giveUpAll, listenFor, MovingPeer, startPool } from "../../../support/shard-pool.ts";

const SOCKETS = whyNoUring() === undefined ? (["node", "uring"] as const) : (["node"] as const);

/** Number of sockets that this process has open, those of its threads included. */
function openSockets(): number {
  return readdirSync("/proc/self/fd").filter((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith("socket:");
    } catch {
      // The folder itself.
      return false;
    }
  }).length;
}

/** Connections of one pool, on their way to another one. */
async function passedOut(plan: string, sockets: (typeof SOCKETS)[number]) {
  const [from, to] = [await startPool("moving", { sockets }), await startPool("moving", { sockets })];
  const port = await listenFor(from);
  const listening = openSockets();
  const peers = await Promise.all(Array.from({ length: 5 }, () => MovingPeer.open(port)));
  await peers[2]?.ask(`plan ${plan}`);
  const passed = await giveUpAll(from);
  expect(passed).toHaveLength(peers.length);
  // Both ends of each connection are in this process.
  expect(openSockets()).toBe(listening + 2 * peers.length);
  return { from: from.handles[0] as ShardHandle, to: to.handles[0] as ShardHandle, peers, passed, listening };
}

describe.skipIf(whyNoPassing() !== undefined).each(SOCKETS)(
  "connections that a shard takes in, over sockets of %s",
  (sockets) => {
    it("are closed when the shard ends while it starts them", async () => {
      const { to, peers, passed, listening } = await passedOut("end", sockets);
      const passedIn = new PassedIn();
      await passedIn.takeIn(to, passed, false);
      await passedIn.start();
      expect(await Promise.all(peers.map(({ closed }) => closed))).toEqual(peers.map(() => 1006));
      await vi.waitFor(() => expect(openSockets()).toBe(listening));
    });

    it("are closed when the shard ends before it starts them", async () => {
      const { to, peers, passed, listening } = await passedOut("", sockets);
      const passedIn = new PassedIn();
      await passedIn.takeIn(to, passed, false);
      to.terminate();
      await passedIn.start();
      expect(await Promise.all(peers.map(({ closed }) => closed))).toEqual(peers.map(() => 1006));
      await vi.waitFor(() => expect(openSockets()).toBe(listening));
    });

    it("stay the caller's when the shard has ended before they come, and go on elsewhere", async () => {
      const { from, to, peers, passed, listening } = await passedOut("", sockets);
      to.terminate();
      await to.exited();
      const passedIn = new PassedIn();
      await expect(passedIn.takeIn(to, passed, false)).rejects.toMatchObject({ code: "ERR_SHARD_EXITED" });
      await passedIn.start();
      expect(openSockets()).toBe(listening + 2 * peers.length);
      await passedIn.takeIn(from, passed, true);
      await passedIn.start();
      for (const peer of peers) expect(await peer.ask("still here")).toBe("still here");
    });
  },
);
