/**
 * Replacements in a Node without `node:ffi`: connections go through the supervisor, as handles. `npm run
 * takeovers:handles` runs all of them with an older Node, and a few more.
 */
import { once } from "node:events";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { actorUrl } from "../../support/actor-url.ts";
import type { CountedClient } from "../../support/counted-client.ts";
import { text } from "../../support/frames.ts";
import { stateOf } from "../../support/process-state.ts";
import { RawClient, upgradeRequest } from "../../support/raw-client.ts";
import { childrenOf, ended, script, times } from "./supervise.ts";
import { all, CLIENTS, nodes, serve, start, supervise } from "./without-ffi.ts";

const REFUSED = fileURLToPath(new URL("programs/refused.ts", import.meta.url));
const INDEX = new URL("../../../src/index.ts", import.meta.url).href;

// The same Node has `node:ffi` in chains of both.
describe.skipIf(whyNoPassing() !== undefined)("a replacement without node:ffi", () => {
  it("moves every connection, the topics in memory and the state of the program, also to a Node with node:ffi and back", async () => {
    const { supervisor, use, faults, publish } = await serve();
    const first = await publish("0");
    await supervisor.logs(/pid \d+ has no node:ffi: this process passes its connections on/);
    const chain = ["withoutFfi", "withFfi", ...(all ? (["withFfi"] as const) : []), "withoutFfi"] as const;
    for (const [replaced, node] of chain.entries()) {
      use(node);
      supervisor.kill("SIGHUP");
      await supervisor.logs(times(replaced + 1, "took over from pid .*"));
      // The state of the main program has been in all processes.
      await supervisor.prints(new RegExp(`"event":"took","ids":\\[\\d+(,\\d+){${replaced}}\\]`));
      expect(await faults()).toEqual([]);
      await supervisor.prints(times(replaced + 1, `"event":"handedOver",.*"connections":${CLIENTS}`));
      expect(await publish("0")).toEqual(first);
      expect(await publish(`${replaced + 1}`)).toEqual({ ...first, offset: replaced + 2 });
    }
    supervisor.kill("SIGTERM");
    expect((await ended(supervisor)).stderr.match(/has no node:ffi/g)).toHaveLength(3);
  });

  it("answers upgrades that come while it runs, on sockets that the old process has accepted", async () => {
    const { supervisor, port, httpPort } = await serve();
    for (const [index, to] of [port, httpPort].entries()) {
      const late = await Promise.all(Array.from({ length: 10 }, () => RawClient.connect(to)));
      onTestFinished(() => {
        for (const { socket } of late) socket.destroy();
      });
      // The old process has accepted the others, too.
      await (await RawClient.open({ port: to })).close();
      supervisor.kill("SIGHUP");
      // Its part of the takeover has begun when sockets go ahead; some requests come after its end.
      await supervisor.logs(times(index + 1, "starts, to take over"));
      const tookOver = supervisor.logs(times(index + 1, "took over from pid .*"));
      const request = Buffer.concat([Buffer.from(upgradeRequest()), text("late")]);
      for (const client of late.slice(0, 5)) client.write(request.subarray(0, 30));
      await supervisor.prints(times(index + 1, `"event":"handedOver"`));
      for (const client of late.slice(0, 5)) client.write(request.subarray(30));
      for (const client of late.slice(5)) client.write(request);
      for (const client of late) {
        expect(await client.response()).toMatchObject({ status: 101 });
        expect((await client.frame()).payload.toString("latin1")).toBe("\0\0\0\0late");
      }
      await tookOver;
    }
  });

  it("by a process that is refused, or killed half way, disturbs nobody, and the next one works", async () => {
    const { supervisor, change, use, faults } = await serve();
    const goesOn = async (failures: number): Promise<void> => {
      supervisor.kill("SIGHUP");
      await supervisor.logs(times(failures, "before it took over: pid \\d+ goes on"));
      expect(await faults()).toEqual([]);
    };
    // While sockets go ahead, then while everybody is stopped.
    for (const [index, fails] of (["suspend", "states"] as const).entries()) {
      change({ fails });
      await goesOn(index + 1);
      await supervisor.logs(times(index + 1, "was ended by SIGKILL before it took over"));
      await supervisor.logs(times(index + 1, "pid \\d+ has lost no connection\n"));
    }
    change({ start: { ...start, actor: String(actorUrl("echo")) } });
    await goesOn(3);
    await supervisor.prints(/"event":"refused","code":"ERR_TAKEOVER_REFUSED",.*`static moves`/);
    change({});
    use("otherVersion");
    await goesOn(4);
    await supervisor.prints(/"event":"refused","code":"ERR_NO_FFI"/);
    use("withoutFfi");
    supervisor.kill("SIGHUP");
    await supervisor.logs(/took over from pid/);
    expect(await faults()).toEqual([]);
  });

  it("by a process that is killed when it has everything says how many connections are lost", async () => {
    const { supervisor, change, clients } = await serve();
    const actor = script(
      `import { Actor } from "${INDEX}"; export default class extends Actor { static moves = 99; suspended() {} resumed() { process.kill(process.pid, "SIGKILL"); } }`,
    );
    change({ start: { ...start, actor: pathToFileURL(actor).href } });
    supervisor.kill("SIGHUP");
    await supervisor.logs(
      new RegExp(`pid \\d+ has lost ${CLIENTS} connections, which the other process had taken over`),
    );
    await Promise.all(clients.map(({ socket }) => socket.closed || once(socket, "close")));
  });

  it("by a process that stands still is called off, and the replacement that was asked for meanwhile works", async () => {
    const { supervisor, faults, replaceByStopped } = await serve();
    const [old, next] = await replaceByStopped();
    supervisor.kill("SIGHUP");
    await supervisor.logs(/the next replacement waits/);
    await supervisor.prints(/"event":"successorFailed".*"code":"ERR_TAKEOVER_(TIMEOUT|LOST)"/);
    await supervisor.logs(new RegExp(`pid ${next} was ended by SIGKILL before it took over: pid ${old} goes on`));
    await supervisor.logs(new RegExp(`took over from pid ${old}`));
    expect(await faults()).toEqual([]);
  });

  it.runIf(all)("goes on when both processes stand still for a while", async () => {
    const { supervisor, faults, replaceByStopped } = await serve();
    const [old, next] = await replaceByStopped();
    process.kill(old, "SIGSTOP");
    await vi.waitFor(() => expect(stateOf(old)).toBe("T"));
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    process.kill(next, "SIGCONT");
    process.kill(old, "SIGCONT");
    expect(await faults()).toEqual([]);
    await supervisor.prints(/"event":"(successorFailed|handedOver)"/);
  });

  it("goes on in the new process with what has arrived when the old one is killed half way", async () => {
    const { supervisor, clients, answered, replaceByStopped } = await serve();
    const [old, next] = await replaceByStopped();
    process.kill(old, "SIGKILL");
    process.kill(next, "SIGCONT");
    const [, count] = await supervisor.prints(/"event":"takenOver",.*"connections":(\d+),"predecessorDied":true/);
    // One message for each of the two shards, the second perhaps.
    expect([CLIENTS / 2, CLIENTS]).toContain(Number(count));
    await supervisor.logs(
      new RegExp(`pid ${old} was ended by SIGKILL before it said that pid ${next} has .*: ${count} connections go on`),
    );
    const lives = (): CountedClient[] => clients.filter(({ errors }) => errors.length === 0);
    await vi.waitFor(() => expect(lives()).toHaveLength(Number(count)));
    await answered(lives());
    expect(lives()).toHaveLength(Number(count));
  });

  it.each(["withoutFfi", "withFfi"] as const)(
    "isn't called a takeover when the old process is killed before it has given anything (%s)",
    async (node) => {
      const { supervisor, use, clients } = await serve();
      const [old] = childrenOf(supervisor.pid);
      use(node);
      supervisor.kill("SIGHUP");
      const [, next] = await supervisor.logs(/pid (\d+) starts, to take over/);
      process.kill(Number(old), "SIGKILL");
      await supervisor.logs(
        new RegExp(`pid ${old} was ended by SIGKILL, with its connections: pid ${next} goes on without them\n`),
      );
      await vi.waitFor(() => expect(clients.every(({ socket }) => socket.closed)).toBe(true));
      supervisor.kill("SIGTERM");
      expect((await ended(supervisor)).stderr).not.toContain("took over");
    },
  );

  it("goes on in the new process when the old one is stopped, and killed before it has answered", async () => {
    const { supervisor, clients } = await serve();
    const [old = 0] = childrenOf(supervisor.pid);
    process.kill(old, "SIGSTOP");
    await vi.waitFor(() => expect(stateOf(old)).toBe("T"));
    supervisor.kill("SIGHUP");
    await supervisor.prints(/"event":"greets"/);
    const next = childrenOf(supervisor.pid).at(-1) ?? 0;
    process.kill(old, "SIGKILL");
    await supervisor.logs(
      new RegExp(`pid ${old} was ended by SIGKILL, with its connections: pid ${next} goes on without them\n`),
    );
    const [, port] = await supervisor.prints(/"event":"greets"[\s\S]*"event":"listening","ports":\[(\d+)/);
    await (await RawClient.open({ port: Number(port) })).close();
    await vi.waitFor(() => expect(clients.every(({ socket }) => socket.closed)).toBe(true));
    supervisor.kill("SIGHUP");
    await supervisor.logs(new RegExp(`took over from pid ${next} `));
  });

  it("never leaves two owners when the supervisor is killed half way: everybody goes on in the old process", async () => {
    const { supervisor, faults, replaceByStopped } = await serve();
    const [old, next] = await replaceByStopped();
    onTestFinished(() => void process.kill(old, "SIGKILL"));
    supervisor.kill("SIGKILL");
    await supervisor.prints(/"event":"successorFailed".*"code":"ERR_TAKEOVER_LOST"/);
    expect(stateOf(next)).toBe("Z");
    expect(await faults()).toEqual([]);
  });

  it("can't pass on what shards accept, nor a Unix socket, and says so in `listen`", async () => {
    const supervisor = supervise("--node", nodes().current, REFUSED, String(actorUrl("counting")));
    const { code, stdout } = await ended(supervisor);
    expect(JSON.parse(stdout)).toEqual([
      `ERR_NO_FFI: accept: "shard" and takeover go together only with node:ffi (Node 26.9): listen without accept: "shard"`,
      "ERR_NO_FFI: a Unix socket can be taken over only with node:ffi (Node 26.9): listen on a port",
    ]);
    expect(code).toBe(0);
  });
});
