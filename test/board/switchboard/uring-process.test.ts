/** What a whole process with `sockets: "uring"` does at its start and leaves at its end. */
import { once } from "node:events";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { RunningProgram } from "../../e2e/support/process.ts";
import { text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";
import { missingUring } from "../../wire/native/availability.ts";

const program = fileURLToPath(new URL("../../support/programs/uring-board.ts", import.meta.url));

function start(...args: readonly string[]): RunningProgram {
  const running = new RunningProgram(process.execPath, [...args, program], { input: "pipe" });
  onTestFinished(() => running.destroy());
  return running;
}

async function portOf(running: RunningProgram): Promise<number> {
  const [, port] = await running.prints(/^port (\d+)\n/m);
  return Number(port);
}

describe.skipIf(missingUring !== undefined)("a process with boards over io_uring", () => {
  it("warns once, whatever the number of boards and threads", async () => {
    const running = start();
    await portOf(running);
    running.kill("SIGKILL");
    const { stderr } = await running.exit;
    expect(stderr.match(/ExperimentalWarning/g)).toHaveLength(1);
    expect(stderr).toContain('ExperimentalWarning: sockets: "uring" calls the kernel through node:ffi');
  });

  it.each(["exit", "throw", "kill"])("leaves no peer waiting and no port taken when it ends: %s", async (way) => {
    const running = start();
    const port = await portOf(running);
    const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.open({ port })));
    for (const client of clients) {
      client.write(text("hello"));
      expect(await client.text()).toBe("hello");
    }
    const closed = Promise.all(clients.map((client) => client.closed()));
    if (way === "kill") running.kill("SIGKILL");
    else running.write(`${way}\n`);
    await closed;
    await running.exit;
    // The kernel may hold the ring for a moment longer.
    await expect
      .poll(async () => {
        const peer = connect(port, "127.0.0.1");
        const [error] = await Promise.race([once(peer, "error"), once(peer, "connect").then(() => [{ code: "none" }])]);
        peer.destroy();
        return error.code;
      })
      .toBe("ECONNREFUSED");
  });

  it("ends while a thread is stuck in a call, and doesn't wait for the thread's peers", async () => {
    const running = start();
    const port = await portOf(running);
    const client = await RawClient.open({ port });
    client.write(text("wedge"));
    running.write("close\n");
    await client.closed();
    await running.prints(/^closed\n/m);
  });
});

describe.skipIf(missingUring !== undefined)("a limit of locked memory", () => {
  // Not every kernel counts the memory of a ring.
  it("is named by the error when it leaves no room for a ring", async () => {
    const isRoot = process.getuid?.() === 0;
    const limited = `ulimit -l 64; exec ${isRoot ? "setpriv --bounding-set=-ipc_lock" : ""} "$0" "$1"`;
    const running = new RunningProgram("sh", ["-c", limited, process.execPath, program], { input: "pipe" });
    onTestFinished(() => running.destroy());
    const [, outcome] = await running.prints(/^(port|.*)\b.*\n/m);
    running.kill("SIGKILL");
    const { stdout } = await running.exit;
    if (outcome !== "port")
      expect(stdout).toMatch(/^ERR_NO_URING there is no memory for one more io_uring: raise .*ulimit -l/);
  });
});

describe.skipIf(missingUring !== undefined)("Node's flags", () => {
  it.each([
    [["--no-experimental-ffi"], /has no node:ffi: use Node 26.9 or newer, without --no-experimental-ffi/],
    [
      ["--permission", "--allow-fs-read=*", "--allow-worker"],
      /permission model forbids node:ffi: start Node with --allow-ffi/,
    ],
    [
      ["--permission", `--allow-fs-read=${process.cwd()}`, "--allow-worker", "--allow-ffi"],
      /\/proc\/self can't be read \(with --permission, add --allow-fs-read=\/proc\/\)/,
    ],
  ])("%j forbid io_uring, and the error says so in one sentence", async (flags, reason) => {
    const { code, stdout } = await start(...flags).exit;
    expect({ code, stdout }).toEqual({ code: 3, stdout: expect.stringMatching(reason) });
    expect(stdout).toMatch(/^ERR_NO_URING sockets: "uring" can't work here: [^\n]+\n$/);
  });
});
