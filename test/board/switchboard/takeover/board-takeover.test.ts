/** Takeovers between boards of one process. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { Switchboard } from "../../../../src/index.ts";
import { whyNoPassing } from "../../../../src/wire/native/pass-descriptors.ts";
import { allAnswered, expectAllRight, openClients } from "../../../e2e/takeover/counted-clients.ts";
import { takeoverPath } from "../../../e2e/takeover/server-process.ts";
import { actorUrl } from "../../../support/board.ts";
import { freePort } from "../../../support/redis-server.ts";

vi.setConfig({ testTimeout: 60_000 });

describe.skipIf(whyNoPassing() !== undefined)("a board that has taken over", () => {
  it("keeps everybody if it can't wait for the next process, and waits as soon as it can", async () => {
    const takeover = takeoverPath();
    const start = async (port: number, started = (): void => {}) => {
      const board = await Switchboard.start({ actor: actorUrl("counting"), takeover, shards: 1, warmUp: false });
      onTestFinished(() => void board.close({ timeoutMs: 0 }));
      const failed = new Promise<Error>((resolve) => board.once("takeoverUnavailable", resolve));
      const taken = new Promise((resolve) => board.once("takenOver", resolve));
      started();
      return { failed, taken, address: await board.listen({ port, host: "127.0.0.1" }) };
    };
    const port = await freePort();
    await start(port);
    const clients = await openClients(5, { port });
    const next = await start(port, () => rmSync(dirname(takeover), { recursive: true }));
    expect(await next.taken).toMatchObject({ connections: clients.length });
    expect(await next.failed).toMatchObject({ code: expect.stringMatching(/^E/) });
    await allAnswered(clients);
    mkdirSync(dirname(takeover), { mode: 0o700 });
    await vi.waitFor(() => expect(existsSync(takeover)).toBe(true), 30_000);
    expect(await (await start(port)).taken).toMatchObject({ connections: clients.length });
    await allAnswered(clients);
    await expectAllRight(clients);
  });
});
