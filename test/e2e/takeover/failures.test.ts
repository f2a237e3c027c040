/** Takeovers of boards in which something fails, with real processes and with clients that check every byte. */
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { ChannelServer } from "../../../src/wire/passing/channel-server.ts";
import { stateOf } from "../../support/process-state.ts";
import { MovingPeer } from "../../support/shard-pool.ts";
import { socketsAt } from "../../support/unix-sockets.ts";
import { allAnswered, expectAllRight, openClients } from "./counted-clients.ts";
import { ServerProcess, takeoverPath } from "./server-process.ts";

/** True in `npm run takeovers`: more ways, and those that take long. */
const all = process.env["TAKEOVERS"] === "all";

describe.skipIf(whyNoPassing() !== undefined)("a takeover of a board", () => {
  it("goes on as before when the new process is killed, and when it closes its board", async () => {
    const start = { actor: "counting", takeover: takeoverPath(), shards: 2, warmUp: false };
    const old = new ServerProcess({ start, listen: [{}] });
    const { ports } = await old.tells("listening");
    const port = ports[0] as number;
    const clients = await openClients(20, { port });
    for (const fails of (["suspend", "listen", "close"] as const).slice(0, all ? 3 : 1)) {
      const next = new ServerProcess({ start, listen: [{}], fails });
      const code = fails === "close" ? "ERR_CLOSED" : "ERR_TAKEOVER_LOST";
      expect(await old.tells("successorFailed")).toMatchObject({ code, wasRefused: false, lost: 0 });
      expect((await next.end()).signal).toBe(fails === "close" ? null : "SIGKILL");
      old.forget();
      await allAnswered(clients);
      clients.push(...(await openClients(2, { port })));
    }
    const last = new ServerProcess({ start, listen: [{}] });
    expect(await last.tells("takenOver")).toMatchObject({ connections: clients.length });
    await allAnswered(clients);
    await expectAllRight(clients);
  });

  it("of a process that is killed before it has answered is the start of a first one", async () => {
    const start = { actor: "counting", takeover: takeoverPath(), shards: 2, warmUp: false };
    const old = new ServerProcess({ start, listen: [{}] });
    await old.tells("listening");
    old.program.kill("SIGSTOP");
    await vi.waitFor(() => expect(stateOf(old.program.pid)).toBe("T"));
    const next = new ServerProcess({ start, listen: [{}] });
    await vi.waitFor(() => expect(socketsAt(`${start.takeover}.${old.program.pid}`)).toBe(2), 20_000);
    old.program.kill("SIGKILL");
    const { ports } = await next.tells("listening");
    const clients = await openClients(5, { port: ports[0] as number });
    const last = new ServerProcess({ start, listen: [{}] });
    expect(await last.tells("takenOver")).toMatchObject({ connections: clients.length });
    await expectAllRight(clients);
  });

  it.each(["hello", "end"] as const)(
    "whose old process says nothing at %j, and waits no longer, is the start of a first one",
    async (moment) => {
      const start = { actor: "counting", takeover: takeoverPath(), shards: 2, warmUp: false };
      const old = await ChannelServer.listen(start.takeover, (channel) => {
        const end = (): void => {
          old.close();
          channel.destroy();
        };
        if (moment === "end") end();
        else channel.start({ received: end, ended: () => {} });
      });
      const next = new ServerProcess({ start, listen: [{}] });
      const { ports } = await next.tells("listening");
      await expectAllRight(await openClients(5, { port: ports[0] as number }));
    },
  );

  it("is refused by a process that waits, and ends each conversation without a word", async () => {
    const start = { actor: "counting", takeover: takeoverPath(), shards: 2, warmUp: false };
    const old = await ChannelServer.listen(start.takeover, (channel) => channel.destroy());
    onTestFinished(() => old.close());
    expect(await new ServerProcess({ start, listen: [{}] }).tells("refused")).toMatchObject({
      code: "ERR_TAKEOVER_LOST",
    });
  });

  it.runIf(all)(
    "refuses a reload and a move during a takeover, and goes on when the new process stands still",
    async () => {
      const start = { actor: "counting", takeover: takeoverPath(), shards: 2, warmUp: false };
      const old = new ServerProcess({ start, listen: [{}] });
      const { ports } = await old.tells("listening");
      const clients = await openClients(20, { port: ports[0] as number });
      const next = new ServerProcess({ start, listen: [{}], fails: "suspend", failsBy: "SIGSTOP" });
      await next.stands();
      old.program.kill("SIGHUP");
      expect(await old.tells("reloadFailed")).toMatchObject({ code: "ERR_MOVE_FAILED" });
      expect(await old.tells("moveRefused")).toEqual({ event: "moveRefused", code: "ERR_MOVE_FAILED" });
      expect(await old.tells("successorFailed")).toMatchObject({ code: "ERR_TAKEOVER_TIMEOUT", wasRefused: false });
      expect((await next.end()).signal).toBe("SIGKILL");
      await allAnswered(clients);
      await expectAllRight(clients);
    },
  );

  it("refuses a third process during a takeover, and goes on when the second one is killed", async () => {
    const start = { actor: "counting", takeover: takeoverPath(), shards: 1, warmUp: false };
    const old = new ServerProcess({ start, listen: [{}] });
    const { ports } = await old.tells("listening");
    const clients = await openClients(5, { port: ports[0] as number });
    const second = new ServerProcess({ start, listen: [{}], fails: "listen", failsBy: "wait" });
    await second.tells("failing");
    const third = new ServerProcess({ start, listen: [{}] });
    expect(await third.tells("refused")).toMatchObject({ code: "ERR_TAKEOVER_REFUSED" });
    await allAnswered(clients);
    second.program.kill("SIGKILL");
    expect(await old.tells("successorFailed")).toMatchObject({ code: "ERR_TAKEOVER_LOST", wasRefused: false });
    const last = new ServerProcess({ start, listen: [{}] });
    expect(await last.tells("takenOver")).toMatchObject({ connections: clients.length });
    await allAnswered(clients);
    await expectAllRight(clients);
  });

  it.each([
    { start: { actor: "echo" }, says: /has `static moves` in the old process and not in the new one/ },
    ...(all ? [{ start: { actor: "counting", shards: 1 }, says: /has 2 shards and the new one 1/ }] : []),
  ])("refuses a process with $start before anything is stopped", async ({ start, says }) => {
    const takeover = takeoverPath();
    const old = new ServerProcess({ start: { actor: "counting", takeover, shards: 2, warmUp: false }, listen: [{}] });
    const { ports } = await old.tells("listening");
    const clients = await openClients(5, { port: ports[0] as number });
    const next = new ServerProcess({ start: { takeover, shards: 2, warmUp: false, ...start }, listen: [{}] });
    const refused = { code: "ERR_TAKEOVER_REFUSED", message: expect.stringMatching(says) };
    expect(await next.tells("refused")).toMatchObject(refused);
    expect((await next.end()).code).toBe(1);
    expect(await old.tells("successorFailed")).toMatchObject({ ...refused, wasRefused: true });
    await allAnswered(clients);
    await expectAllRight(clients);
  });

  it.each([
    { plans: ["throw", "hang", "function"], reasons: ["failed", "failed", "state"] },
    ...(all ? [{ plans: ["throw", "hang", "function", "hold"], reasons: ["busy", "failed", "failed", "state"] }] : []),
  ])("closes connections with 1012 whose actors plan to $plans, and takes all others", async ({ plans, reasons }) => {
    const start = { actor: "moving", takeover: takeoverPath(), shards: 1, warmUp: false };
    const old = new ServerProcess({ start, listen: [{}] });
    const { ports } = await old.tells("listening");
    const open = (): Promise<MovingPeer> => MovingPeer.open(ports[0] as number);
    const others = await Promise.all(Array.from({ length: 5 }, open));
    const failing = await Promise.all(plans.map(open));
    for (const [index, plan] of plans.entries()) await failing[index]?.ask(plan === "hold" ? plan : `plan ${plan}`);
    const next = new ServerProcess({ start, listen: [{}] });
    expect(await next.tells("takenOver")).toMatchObject({ connections: others.length });
    expect(await Promise.all(failing.map(({ closed }) => closed))).toEqual(plans.map(() => 1012));
    const failed = await old.tellsAll("moveFailed", reasons.length);
    expect(failed.map(({ reason }) => reason).toSorted()).toEqual(reasons);
    const consequence = "a connection couldn't go to the new process, and is closed with 1012 if the takeover succeeds";
    expect(failed.map(({ message }) => message)).toEqual(
      expect.arrayContaining([
        `${consequence}: its actor's suspended threw: suspended throws`,
        `${consequence}: its actor's suspended took too long`,
      ]),
    );
    for (const one of others) expect(await one.ask("log")).toBe("opened, suspended on 0, resumed 7 on 0");
  });

  it("says how many connections ended with the new process, and goes on accepting", async () => {
    const start = { actor: "moving", takeover: takeoverPath(), shards: 1, warmUp: false };
    const old = new ServerProcess({ start, listen: [{}] });
    const { ports } = await old.tells("listening");
    const open = (): Promise<MovingPeer> => MovingPeer.open(ports[0] as number);
    const peers = await Promise.all(Array.from({ length: 3 }, open));
    await peers[1]?.ask("plan kill");
    const next = new ServerProcess({ start, listen: [{}] });
    expect((await next.end()).signal).toBe("SIGKILL");
    expect(await old.tells("successorFailed")).toMatchObject({ code: "ERR_TAKEOVER_LOST", lost: peers.length });
    expect(await Promise.all(peers.map(({ closed }) => closed))).toEqual(peers.map(() => 1006));
    expect(await (await open()).ask("here")).toBe("here");
  });

  it("is refused, with nothing stopped, by a process that can't open as many files", async () => {
    const start = { actor: "counting", takeover: takeoverPath(), shards: 1, warmUp: false };
    const old = new ServerProcess({ start, listen: [{}] });
    const { ports } = await old.tells("listening");
    const clients = await openClients(5, { port: ports[0] as number });
    const next = new ServerProcess({ start, listen: [{}] }, {}, 80);
    const refused = { code: "ERR_TAKEOVER_REFUSED", message: expect.stringMatching(/raise its limit/) };
    expect(await next.tells("refused")).toMatchObject(refused);
    expect(await old.tells("successorFailed")).toMatchObject({ ...refused, wasRefused: true, lost: 0 });
    await allAnswered(clients);
    await expectAllRight(clients);
  });

  it.runIf(all)("is called off when no descriptor is left in the new process", async () => {
    const start = { actor: "counting", takeover: takeoverPath(), shards: 2, warmUp: false };
    const old = new ServerProcess({ start, listen: [{}] });
    const { ports } = await old.tells("listening");
    const clients = await openClients(20, { port: ports[0] as number });
    const next = new ServerProcess({ start, listen: [{}], fails: "listen", failsBy: "exhaust" }, {}, 400);
    const { message } = await next.tells("takeoverFailed");
    expect(message).toMatch(/descriptor/);
    // The channel of the new process is broken, so the old one learns of its end only.
    expect(await old.tells("successorFailed")).toMatchObject({ code: "ERR_TAKEOVER_LOST", lost: 0 });
    await allAnswered(clients);
    await expectAllRight(clients);
  });

  it.runIf(all)("wakes the old process when it stands still, and takes everything over", async () => {
    const start = { actor: "counting", takeover: takeoverPath(), shards: 2, warmUp: false };
    const old = new ServerProcess({ start, listen: [{}] });
    const { ports } = await old.tells("listening");
    const clients = await openClients(20, { port: ports[0] as number });
    const next = new ServerProcess({ start, listen: [{}], fails: "suspend", failsBy: "SIGSTOP" });
    await next.stands();
    old.program.kill("SIGSTOP");
    next.program.kill("SIGCONT");
    const { connections, predecessorDied } = await next.tells("takenOver");
    expect(predecessorDied).toBe(false);
    expect((await old.end()).signal).toBe(null);
    await allAnswered(clients);
    expect(clients.filter(({ errors }) => errors.length === 0)).toHaveLength(connections);
  });
});
