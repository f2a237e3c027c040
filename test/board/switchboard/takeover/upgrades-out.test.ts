import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { UpgradesOut } from "../../../../src/board/switchboard/takeover/upgrades-out.ts";
import type { OtherProcess } from "../../../../src/board/takeover/messages.ts";
import { SwitchboardError } from "../../../../src/errors.ts";
import { UpgradeCounters } from "../../../../src/runtime/stats/upgrade-counters.ts";
import { whyNoPassing } from "../../../../src/wire/native/pass-descriptors.ts";
import { handleOf } from "../../../../src/wire/node-internals/net.ts";
import { bringToRest } from "../../../../src/wire/passing/passed-sockets.ts";
import { takeSocket } from "../../../../src/wire/transport/taken-socket.ts";
import { RawClient, upgradeRequest } from "../../../support/raw-client.ts";

const REQUEST = Buffer.from(upgradeRequest());
const LOST = new SwitchboardError("ERR_TAKEOVER_LOST", "the other process has ended");

/** Passes sockets on to a process that answers as `ask` does. */
async function passing(ask: OtherProcess["ask"], hasEnded = false) {
  const server = createServer({ pauseOnConnect: true });
  onTestFinished(() => void server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const counters = new UpgradeCounters();
  const failed = vi.fn<(error: Error) => void>();
  const out = new UpgradesOut({ state: undefined, takesProgramState: false, hasEnded, ask }, counters, failed);
  /** Resolves with the client of a socket that has been given to `out`, and the socket's number. */
  const pass = async (bytes: Uint8Array) => {
    const accepted = once(server, "connection");
    const client = await RawClient.connect(port);
    onTestFinished(() => void client.socket.destroy());
    const [socket] = (await accepted) as [Socket];
    expect(handleOf(socket)).not.toBeNull();
    const taken = takeSocket(socket, Buffer.alloc(0));
    if (taken === undefined) throw new Error("the socket was closed");
    const descriptor = bringToRest(taken.handle);
    out.pass({ descriptor, listener: "here", bytes });
    return { client, descriptor };
  };
  return { out, pass, counters, failed };
}

describe.skipIf(whyNoPassing() !== undefined)("sockets for the process that has taken over", () => {
  it("are closed here, without an end for the peer, once that process has them", async () => {
    const asked = vi.fn<OtherProcess["ask"]>(async () => undefined);
    const { out, pass, counters } = await passing(asked);
    const { descriptor } = await pass(REQUEST);
    await out.settled();
    expect(asked.mock.calls).toEqual([[{ kind: "takeUpgrade", listener: "here", bytes: REQUEST }, [descriptor]]]);
    expect(counters.snapshot()).toMatchObject({ passedOn: 1, failed: 0, refused: {} });
  });

  it.each([
    { name: "doesn't take them", error: new SwitchboardError("ERR_NO_LISTENER", "nobody listens"), hasEnded: false },
    { name: "had ended before", error: LOST, hasEnded: true },
  ])("are refused with 503 and Retry-After: 0 if that process $name", async ({ error, hasEnded }) => {
    const { pass, counters, failed } = await passing(() => Promise.reject(error), hasEnded);
    const { client } = await pass(REQUEST);
    expect(await client.response()).toMatchObject({
      status: 503,
      headers: { "retry-after": "0", connection: "close" },
    });
    await client.closed();
    expect(counters.snapshot()).toMatchObject({ refused: { 503: 1 }, passedOn: 0 });
    expect(failed.mock.calls).toEqual([[error]]);
  });

  it("are closed if nothing was read of them and that process doesn't take them", async () => {
    const { pass, counters } = await passing(() => Promise.reject(LOST), true);
    const { client } = await pass(new Uint8Array());
    expect(await client.rest()).toBe("");
    expect(counters.snapshot()).toMatchObject({ failed: 1, refused: {} });
  });

  it("are closed without an answer if that process ended and may have answered", async () => {
    const { pass, counters, failed } = await passing(() => Promise.reject(LOST));
    const { client } = await pass(REQUEST);
    expect(await client.rest()).toBe("");
    expect(counters.snapshot()).toMatchObject({ failed: 1, refused: {} });
    expect(failed.mock.calls).toEqual([[LOST]]);
  });

  it("wait while that process has 32 to confirm", async () => {
    const waiting: (() => void)[] = [];
    const ask: OtherProcess["ask"] = () => new Promise((resolve) => waiting.push(() => resolve(undefined)));
    const { out, pass, counters } = await passing(ask);
    for (let index = 0; index < 34; index++) await pass(REQUEST);
    expect(waiting).toHaveLength(32);
    waiting[0]?.();
    await vi.waitFor(() => expect(waiting).toHaveLength(33));
    const settled = out.settled();
    for (let index = 1; index < 34; index++) await vi.waitFor(() => waiting[index]?.());
    await vi.waitFor(() => expect(waiting).toHaveLength(34));
    for (const confirm of waiting) confirm();
    await settled;
    expect(counters.snapshot()).toMatchObject({ passedOn: 34 });
  });
});
