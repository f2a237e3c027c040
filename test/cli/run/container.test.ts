/** `switchboard run` as the first process of a container: PID 1 of its own PID namespace. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { whyNoReaping } from "../../../src/wire/native/processes.ts";
import { EchoClients } from "../../board/takeover/echo-clients.ts";
import { projectFolder, RunningProgram } from "../../e2e/support/process.ts";
import { isMissing, succeeds } from "../../e2e/support/programs.ts";
import { ECHO, ended, newFolder, script, times } from "./supervise.ts";

const UNSHARE = ["--pid", "--fork", "--mount-proc", "--kill-child"];
const missing = isMissing("a PID namespace", succeeds("unshare", ...UNSHARE, "true"), "root, or user namespaces");

/** Starts the supervisor as PID 1. A signal to what is returned goes to `unshare`, which isn't the supervisor. */
function contain(...args: readonly string[]): RunningProgram {
  const program = new RunningProgram("unshare", [
    ...UNSHARE,
    process.execPath,
    `${projectFolder}src/cli/main.ts`,
    "run",
    ...args,
  ]);
  onTestFinished(() => program.destroy());
  return program;
}

/** Sends a signal to PID 1 of the container. */
function signal(container: RunningProgram, name: NodeJS.Signals): void {
  process.kill(Number(readFileSync(`/proc/${container.pid}/task/${container.pid}/children`, "utf8")), name);
}

describe.skipIf(missing)("PID 1 of a container", () => {
  it.skipIf(whyNoPassing() !== undefined)("replaces its program, and ends at SIGTERM", async () => {
    const options = join(newFolder(), "options.json");
    writeFileSync(options, "{}");
    const container = contain(ECHO, options);
    const [, port] = await container.prints(/"event":"listening","port":(\d+)/);
    const clients = await EchoClients.open(Number(port), 10);
    signal(container, "SIGHUP");
    await container.logs(times(1, "took over from pid"));
    signal(container, "SIGHUP");
    await container.logs(times(2, "took over from pid"));
    expect(await clients.faults()).toEqual([]);
    signal(container, "SIGTERM");
    expect(await ended(container)).toMatchObject({ code: 143 });
  });

  it.skipIf(whyNoReaping() !== undefined)("reaps processes whose parents have ended", async () => {
    // The shell ends at once, and leaves a process behind, which ends when its input does.
    const file = script(`
      import { spawn } from "node:child_process";
      import { readdirSync, readFileSync } from "node:fs";
      const shell = spawn("sh", ["-c", "cat <&3 & echo $!"], { stdio: ["ignore", "pipe", "inherit", "pipe"] });
      const orphan = String(await shell.stdout[Symbol.asyncIterator]().next().then(({ value }) => value)).trim();
      if (shell.exitCode === null) await new Promise((resolve) => shell.once("exit", resolve));
      const stat = () => { try { return readFileSync("/proc/" + orphan + "/stat", "latin1").split(" "); } catch { return []; } };
      console.log("parent", stat()[3]);
      shell.stdio[3].end();
      while (stat().length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
      console.log("reaped");
    `);
    expect(await ended(contain(file))).toEqual({ code: 0, stdout: "parent 1\nreaped\n", stderr: "" });
  });
});
