/**
 * Replacements in a Node without `node:ffi` that fail where sockets arrive: in a supervisor or a new process without
 * descriptors, and in a shard that dies. `npm run takeovers:handles` runs these tests with an older Node, too.
 */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { actorUrl } from "../../support/actor-url.ts";
import { MovingPeer } from "../../support/shard-pool.ts";
import { CLIENTS, options, serve, start, superviseBoard } from "./without-ffi.ts";

/** Lets a process open no further file, or as many as before. */
function limit(pid: number, isFull: boolean): void {
  const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let free = 0;
  while (open.has(free)) free++;
  // The soft limit. The hard one stays.
  execFileSync("prlimit", ["--pid", String(pid), `--nofile=${isFull ? free : 4096}:`]);
}

describe.skipIf(whyNoPassing() !== undefined)("a replacement without node:ffi", () => {
  it("that meets a supervisor without descriptors disturbs nobody, and the next one works", async () => {
    const { supervisor, faults } = await serve();
    supervisor.kill("SIGHUP");
    const [, next] = await supervisor.logs(/pid (\d+) starts, to take over from pid/);
    limit(supervisor.pid, true);
    await supervisor.logs(new RegExp(`nothing more is passed on to pid ${next}: .*no descriptor left .*ulimit -n`));
    await supervisor.logs(new RegExp(`pid ${next} .* before it took over: pid \\d+ goes on`));
    expect(await faults()).toEqual([]);
    supervisor.kill("SIGHUP");
    await supervisor.logs(/the program didn't start: spawn .*EMFILE before it took over: pid \d+ goes on/);
    expect(await faults()).toEqual([]);
    limit(supervisor.pid, false);
    supervisor.kill("SIGHUP");
    await supervisor.logs(/took over from pid/);
    expect(await faults()).toEqual([]);
    await supervisor.prints(new RegExp(`"event":"handedOver",.*"connections":${CLIENTS}`));
  });

  it("by a process that runs out of descriptors disturbs nobody, and the next one works", async () => {
    const { supervisor, change, faults } = await serve();
    change({ fails: "suspend", failsBy: "exhaust" });
    supervisor.kill("SIGHUP");
    const [, next] = await supervisor.logs(/nothing more is passed on to pid (\d+): a process didn't take a socket/);
    await supervisor.logs(new RegExp(`pid ${next} .* before it took over: pid \\d+ goes on`));
    expect(await faults()).toEqual([]);
    change({});
    supervisor.kill("SIGHUP");
    await supervisor.logs(/took over from pid/);
    expect(await faults()).toEqual([]);
    await supervisor.prints(new RegExp(`"event":"handedOver",.*"connections":${CLIENTS}`));
  });

  it("goes on with the connections of the other shards when one dies while it starts its own", async () => {
    const { supervisor, port } = await superviseBoard({
      ...options,
      start: { ...start, actor: String(actorUrl("moving")) },
    });
    const peers = await Promise.all(Array.from({ length: CLIENTS }, () => MovingPeer.open(port)));
    await peers[0]?.ask("plan end");
    supervisor.kill("SIGHUP");
    await supervisor.logs(/took over from pid/);
    expect(await peers[0]?.closed).toBe(1006);
    const outcomes = await Promise.all(peers.map((peer) => Promise.race([peer.closed, peer.ask("log")])));
    const [closed, alive] = [outcomes.filter((one) => one === 1006), outcomes.filter((one) => one !== 1006)];
    expect(closed).toHaveLength(CLIENTS / 2);
    for (const log of alive) expect(log).toMatch(/^opened, suspended on \d, resumed 7 on \d$/);
    // The shard that died was replaced.
    const more = await Promise.all(Array.from({ length: CLIENTS }, () => MovingPeer.open(port)));
    for (const peer of more) expect(await peer.ask("log")).toBe("opened");
  });
});
