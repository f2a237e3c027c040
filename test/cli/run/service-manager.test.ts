/** What `switchboard run` tells the program that has started it. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { projectFolder, RunningProgram } from "../../e2e/support/process.ts";
import { isMissing, succeeds } from "../../e2e/support/programs.ts";
import { childrenOf, ECHO, ended, newFolder, superviseIn } from "./supervise.ts";

/**
 * The end of systemd: prints each message as a line of JSON. `systemd-notify` waits after each for its descriptor to be
 * closed, which comes with a BARRIER.
 */
const RECEIVER = `
import json, socket, sys
end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
end.bind(sys.argv[1])
print("ready", flush=True)
while True:
    message = end.recv(4096).decode()
    if message != "BARRIER=1":
        print(json.dumps(message), flush=True)
`;

const missing =
  isMissing("systemd-notify", succeeds("systemd-notify", "--version"), "apt-get install systemd") ||
  isMissing("python3", succeeds("python3", "--version"), "apt-get install python3");

function optionsFile(options: object): { readonly file: string; change(options: object): void } {
  const file = join(newFolder(), "options.json");
  const change = (to: object): void => writeFileSync(file, JSON.stringify(to));
  change(options);
  return { file, change };
}

describe.skipIf(whyNoPassing() !== undefined)("tells its starter", () => {
  it.skipIf(missing)(
    "the states that systemd asks for, in their order, and keeps the socket from the program",
    async () => {
      const socket = join(newFolder(), "notify");
      const systemd = new RunningProgram("python3", ["-c", RECEIVER, socket]);
      onTestFinished(() => systemd.destroy());
      await systemd.prints(/ready/);
      const { file, change } = optionsFile({});
      const supervisor = superviseIn({ env: { NOTIFY_SOCKET: socket } }, ECHO, file);
      await systemd.prints(/"READY=1"\n/);
      const [server = 0] = childrenOf(supervisor.pid);
      expect(readFileSync(`/proc/${server}/environ`, "latin1")).not.toContain("NOTIFY_SOCKET");
      const before = process.hrtime.bigint() / 1_000n;
      supervisor.kill("SIGHUP");
      const [, at = ""] = await systemd.prints(/"READY=1"\n"RELOADING=1\\nMONOTONIC_USEC=(\d+)"\n"READY=1"\n/);
      expect(BigInt(at)).toBeGreaterThanOrEqual(before);
      change({ exit: 1 });
      supervisor.kill("SIGHUP");
      await systemd.prints(/("READY=1"\n"RELOADING=1\\nMONOTONIC_USEC=\d+"\n){2}"READY=1"\n/);
      supervisor.kill("SIGTERM");
      await systemd.prints(/"READY=1"\n"STOPPING=1"\n/);
      expect(await ended(supervisor)).toMatchObject({ code: 143 });
    },
  );

  it("in one line that systemd can't be told", async () => {
    const { file } = optionsFile({});
    const env = { NOTIFY_SOCKET: "/nowhere/notify" };
    const supervisor = superviseIn({ env }, ECHO, file);
    await supervisor.logs(/systemd isn't told the state of the service: /);
    supervisor.kill("SIGTERM");
    await ended(supervisor);
  });

  it("that it is ready, over the channel of a fork, as PM2 asks, and ends though somebody listens there", async () => {
    const { file } = optionsFile({});
    const supervisor = fork(`${projectFolder}src/cli/main.ts`, ["run", ECHO, file], {
      // PM2 loads a module of its own into what it starts.
      execArgv: ["--import", "data:text/javascript,process.on('message', () => {})"],
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    onTestFinished(() => void supervisor.kill("SIGKILL"));
    const exit = once(supervisor, "exit");
    expect(await once(supervisor, "message")).toEqual(["ready", undefined]);
    supervisor.kill("SIGTERM");
    expect(await exit).toEqual([143, null]);
  });
});
