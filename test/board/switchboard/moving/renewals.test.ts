import { expect, it } from "vitest";
import { type RenewalHost, Renewals } from "../../../../src/board/switchboard/moving/renewals.ts";
import { checkReloadOptions } from "../../../../src/board/switchboard/options/reload-options.ts";
import type { ShardHandle } from "../../../../src/board/switchboard/pool/shard-handle.ts";
import type { ShardThreads } from "../../../../src/board/switchboard/pool/shard-threads.ts";
import { Counters } from "../../../../src/runtime/stats/counters.ts";

/** An old thread with one handshake, which becomes a connection while the thread answers the first `move`. */
class Old {
  readonly shard = 0;
  readonly connections = 1;
  readonly isReady = true;
  readonly hasEnded = false;
  underWay = 1;
  #isOpen = false;

  retire(): void {}

  async query(): Promise<{ moved: number; stayed: object }> {
    const moved = this.#isOpen ? 1 : 0;
    this.#isOpen = true;
    this.underWay = 0;
    return { moved, stayed: {} };
  }

  async shutDown(): Promise<{ closed: number; dropped: number }> {
    return { closed: 0, dropped: 0 };
  }

  async stop(): Promise<void> {}
}

it("moves a connection that opened while the old thread answered", async () => {
  const threads = {} as ShardThreads;
  const actors = new Map([[undefined, "file:///actor.js"]]);
  const next = { ready: Promise.resolve(), life: 2 } as unknown as ShardHandle;
  const done = async (): Promise<void> => {};
  const host: RenewalHost = {
    closing: new AbortController().signal,
    launch: async () => ({ handle: next, threads, counters: new Counters(), actors }),
    giveUp: () => {},
    replace: () => ({ handle: new Old() as unknown as ShardHandle, threads }),
    succeed: done,
    movesEnded: done,
    ended: done,
    allArrived: done,
  };
  const { renewal } = checkReloadOptions({ keepOldMs: 0 }, actors);
  expect(await new Renewals(host).renew([0], actors, renewal)).toMatchObject({ moved: 1, closed: 0 });
});
