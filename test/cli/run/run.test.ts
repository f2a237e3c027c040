/** `switchboard run` as a program, with programs to supervise. */
import { mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { EchoClients } from "../../board/takeover/echo-clients.ts";
import { stateOf } from "../../support/process-state.ts";
import { childrenOf, ECHO, ended, newFolder, script, supervise, superviseIn, times } from "./supervise.ts";

const CLIENTS = 20;

const ALIVE = "setInterval(() => {}, 1e6);";

describe("one process", () => {
  it("gets the arguments behind the file, also those that look like flags", async () => {
    const file = script("console.log(JSON.stringify(process.argv.slice(2)))");
    const supervisor = supervise("--restart", file, "--watch", "a b", "--", "--help");
    expect(await ended(supervisor)).toEqual({ code: 0, stdout: '["--watch","a b","--","--help"]\n', stderr: "" });
  });

  it("gives its exit code to the supervisor", async () => {
    const { code, stderr } = await ended(supervise(script("process.exit(7)")));
    expect(code).toBe(7);
    expect(stderr).toMatch(/^switchboard: pid \d+ ended with code 7\n$/);
  });

  it("gives its signal to the supervisor, as shells do", async () => {
    const { code, stderr } = await ended(supervise(script(`process.kill(process.pid, "SIGKILL"); ${ALIVE}`)));
    expect(code).toBe(137);
    expect(stderr).toMatch(/^switchboard: pid \d+ was ended by SIGKILL\n$/);
  });

  it.each(["SIGTERM", "SIGINT"] as const)("gets %s, and the supervisor waits for its end", async (signal) => {
    const file = script(
      `process.on("${signal}", () => setImmediate(() => { console.log("bye"); process.exit(3); })); console.log("up"); ${ALIVE}`,
    );
    const supervisor = supervise(file);
    await supervisor.prints(/up/);
    supervisor.kill(signal);
    expect(await ended(supervisor)).toEqual({ code: 3, stdout: "up\nbye\n", stderr: "" });
  });

  it("gets a signal that comes while it is started", async () => {
    // Sends the signal to the supervisor in the very call that starts the program.
    const early = `
      import childProcess from "node:child_process";
      import { syncBuiltinESMExports } from "node:module";
      const { spawn } = childProcess;
      childProcess.spawn = (...args) => {
        const child = spawn(...args);
        process.kill(process.pid, "SIGTERM");
        return child;
      };
      syncBuiltinESMExports();
    `;
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(early)}` };
    expect(await ended(superviseIn({ env }, script(ALIVE)))).toEqual({ code: 143, stdout: "", stderr: "" });
  });

  it("is killed with its own children when it takes too long to end", async () => {
    // The child holds the output open: it ends with the child.
    const file = script(
      `import { spawn } from "node:child_process"; spawn("sleep", ["1000"], { stdio: "inherit" }); process.on("SIGTERM", () => {}); console.log("up"); ${ALIVE}`,
    );
    const supervisor = supervise("--stop-timeout", "0.1", file);
    await supervisor.prints(/up/);
    supervisor.kill("SIGTERM");
    const { code, stderr } = await ended(supervisor);
    expect(code).toBe(137);
    expect(stderr).toMatch(/^switchboard: pid \d+ didn't end within 0.1 s: it is killed\n$/);
  });

  it("starts again after a failure with --restart, later each time, and not after a success", async () => {
    const count = join(newFolder(), "count");
    const file = script(
      `import { appendFileSync, readFileSync } from "node:fs"; appendFileSync("${count}", "x"); process.exit(readFileSync("${count}").length < 4 ? 9 : 0);`,
    );
    const { code, stderr } = await ended(supervise("--restart", file));
    expect(code).toBe(0);
    expect(readFileSync(count, "utf8")).toBe("xxxx");
    expect(stderr.match(/starts again in \S+ s/g)).toEqual(["0.1", "0.2", "0.4"].map((s) => `starts again in ${s} s`));
  });

  it("finds a path of mode 0700 in its environment, which is gone at the end", async () => {
    const file = script(
      'import { statSync } from "node:fs"; import { dirname } from "node:path"; const path = dirname(process.env.SWITCHBOARD_TAKEOVER); console.log((statSync(path).mode & 0o777).toString(8), path)',
    );
    const { stdout } = await ended(supervise(file));
    const [, path = ""] = /^700 (\S+)\n$/.exec(stdout) ?? [];
    expect(() => readFileSync(path)).toThrow("ENOENT");
  });

  it("starts in a folder by its name, which may lead elsewhere by then", async () => {
    const base = newFolder();
    for (const version of ["one", "two"]) {
      mkdirSync(join(base, version));
      writeFileSync(
        join(base, version, "program.mjs"),
        `console.log("${version}", process.pid); process.exitCode = ${version === "one" ? 1 : 0}; ${version === "one" ? `process.on("SIGTERM", () => process.exit(1)); ${ALIVE}` : ""}`,
      );
    }
    const current = join(base, "current");
    symlinkSync("one", current);
    const supervisor = superviseIn({ cwd: current, env: { PWD: current } }, "--restart", "program.mjs");
    const [, pid] = await supervisor.prints(/one (\d+)/);
    symlinkSync("two", join(base, "next"));
    renameSync(join(base, "next"), current);
    process.kill(Number(pid));
    expect(await ended(supervisor)).toMatchObject({ code: 0, stdout: expect.stringContaining("two") });
  });

  it.each([["."], ["main"]])("is found by %s as Node finds it", async (name) => {
    const cwd = newFolder();
    writeFileSync(join(cwd, "package.json"), '{ "main": "main.js" }');
    writeFileSync(join(cwd, "main.js"), 'console.log("found")');
    expect(await ended(superviseIn({ cwd }, name))).toEqual({ code: 0, stdout: "found\n", stderr: "" });
  });

  it("isn't replaced if it can't be, which one line says", async () => {
    const supervisor = supervise("--ready-timeout", "0.1", script(ALIVE));
    await supervisor.logs(/pid \d+ can't be replaced: it has started no board with takeover: true/);
    supervisor.kill("SIGHUP");
    await supervisor.logs(times(2, "can't be replaced"));
    supervisor.kill("SIGTERM");
    expect(await ended(supervisor)).toMatchObject({ code: 143 });
  });
});

it.each([
  [[], "switchboard: run needs the file of a program: switchboard run server.js\n", 2],
  [["--fast", "a.js"], "switchboard: run has no flag --fast; switchboard run --help lists all\n", 2],
  [
    ["--stop-timeout", "soon", "a.js"],
    "switchboard: --stop-timeout takes a number of seconds, more than 0 and at most 86400, not soon\n",
    2,
  ],
  [
    ["--stop-timeout", "1e9", "a.js"],
    "switchboard: --stop-timeout takes a number of seconds, more than 0 and at most 86400, not 1e9\n",
    2,
  ],
  [
    ["--stop-timeout", "-1", "a.js"],
    "switchboard: --stop-timeout needs a value; one that begins with - is written behind a =, as in --stop-timeout=-x\n",
    2,
  ],
  [["--node", "/nowhere/node", "a.js"], "switchboard: --node: there is no file /nowhere/node\n", 1],
  [["--node", "/tmp", "a.js"], "switchboard: --node: there is no file /tmp\n", 1],
  [["/nowhere/a.js"], "switchboard: there is no file /nowhere/a.js\n", 1],
  [["/"], "switchboard: / is a folder: name the file of the program\n", 1],
  [["--node", "server.js"], "switchboard: run needs the file of a program: --node took server.js\n", 2],
  [
    ["--ready-timeout", "server.js"],
    "switchboard: --ready-timeout takes a number of seconds, more than 0 and at most 86400, not server.js\n",
    2,
  ],
  [["--restart", "--stop-timeout", "5"], "switchboard: run needs the file of a program: --stop-timeout took 5\n", 2],
])("refuses %j with one sentence", async (args, stderr, code) => {
  const file = args.includes("a.js") ? [...args.slice(0, -1), script(ALIVE)] : args;
  expect(await ended(supervise(...file))).toEqual({ code, stdout: "", stderr });
});

it("says in one sentence that it can't make a folder for the takeover socket, and makes none where a path is given", async () => {
  const file = script("console.log(process.env.SWITCHBOARD_TAKEOVER)");
  const nowhere = { TMPDIR: "/nowhere", RUNTIME_DIRECTORY: undefined };
  expect(await ended(superviseIn({ env: nowhere }, file))).toEqual({
    code: 1,
    stdout: "",
    stderr:
      "switchboard: can't make a folder for the takeover socket in /nowhere (ENOENT): set TMPDIR to a folder that can be written to, in a read-only container one by docker run --tmpfs /tmp\n",
  });
  const given = { ...nowhere, SWITCHBOARD_TAKEOVER: "/run/chat/takeover.sock" };
  expect(await ended(superviseIn({ env: given }, file))).toEqual({
    code: 0,
    stdout: "/run/chat/takeover.sock\n",
    stderr: "",
  });
});

/** A server that can be taken over, under a supervisor, with clients. The options apply to the next process. */
async function serve(...flags: readonly string[]) {
  const file = join(newFolder(), "options.json");
  const change = (options: object): void => writeFileSync(file, JSON.stringify(options));
  change({});
  const supervisor = supervise(...flags, ECHO, file);
  const [, port] = await supervisor.prints(/"event":"listening","port":(\d+)/);
  const clients = await EchoClients.open(Number(port), CLIENTS);
  return { supervisor, change, clients, file };
}

describe.skipIf(whyNoPassing() !== undefined)("a replacement", () => {
  it("moves every connection to a new process, and one request more waits while one is under way", async () => {
    const { supervisor, change, clients } = await serve();
    const waitsFor = join(newFolder(), "all-requests");
    change({ waitsFor });
    supervisor.kill("SIGHUP");
    await supervisor.logs(/pid \d+ starts, to take over from pid \d+\n/);
    for (let more = 0; more < 3; more++) {
      supervisor.kill("SIGHUP");
      await supervisor.logs(/isn't ready yet: the next replacement waits\n/);
    }
    // Only a request while the process is stopped says more: then all requests before have come.
    const next = childrenOf(supervisor.pid).at(-1) ?? 0;
    process.kill(next, "SIGSTOP");
    await vi.waitFor(() => expect(stateOf(next)).toBe("T"));
    supervisor.kill("SIGHUP");
    await supervisor.logs(/is stopped/);
    process.kill(next, "SIGCONT");
    writeFileSync(waitsFor, "");
    await supervisor.logs(times(2, "took over from pid .*"));
    await clients.allAnswered();
    supervisor.kill("SIGUSR2");
    await supervisor.logs(times(3, "took over from pid .*"));
    expect(await clients.faults()).toEqual([]);
    supervisor.kill("SIGTERM");
    const { code, stdout, stderr } = await ended(supervisor);
    expect(code).toBe(143);
    expect(stdout.match(/"outcome":"handedOver","connections":20/g)).toHaveLength(3);
    expect(stderr.match(/took over/g)).toHaveLength(3);
    // The first request may have waited for the start of the supervised process.
    const replacing = stderr.slice(stderr.indexOf("starts, to take over"));
    expect(replacing.match(/the next replacement waits\n/g)).toHaveLength(1);
  });

  it.each([
    [{ exit: 5 }, [], /pid \d+ ended with code 5 before it took over: pid \d+ goes on/],
    [
      { hang: true },
      // Long enough for the next one on a busy machine.
      ["--ready-timeout", "10"],
      /pid \d+ wasn't ready within 10 s before it took over: pid \d+ goes on/,
    ],
    [{ moves: null }, [], /pid \d+ ended with code 1 before it took over: pid \d+ goes on/],
    [
      { failure: { step: "adopt", how: "SIGKILL" } },
      [],
      /pid \d+ was ended by SIGKILL before it took over: pid \d+ goes on/,
    ],
  ])("by a process that fails (%j) disturbs nobody, and the next one works", async (failure, flags, line) => {
    const { supervisor, change, clients } = await serve(...flags);
    change(failure);
    supervisor.kill("SIGHUP");
    await supervisor.logs(line);
    await clients.allAnswered();
    change({});
    supervisor.kill("SIGHUP");
    await supervisor.logs(/pid \d+ took over from pid \d+/);
    expect(await clients.faults()).toEqual([]);
    supervisor.kill("SIGTERM");
    expect(await ended(supervisor)).toMatchObject({ code: 143 });
  });

  it("that hangs, or is stopped, is named by the line about the next replacement, which works when it has ended", async () => {
    const { supervisor, change, clients } = await serve();
    const [old = 0] = childrenOf(supervisor.pid);
    change({ hang: true });
    supervisor.kill("SIGHUP");
    await supervisor.logs(/starts, to take over/);
    const next = childrenOf(supervisor.pid).at(-1) ?? 0;
    supervisor.kill("SIGHUP");
    await supervisor.logs(new RegExp(`pid ${next} isn't ready yet: the next replacement waits\n`));
    process.kill(next, "SIGSTOP");
    await vi.waitFor(() => expect(stateOf(next)).toBe("T"), { timeout: 10_000 });
    supervisor.kill("SIGHUP");
    await supervisor.logs(new RegExp(`pid ${next} is stopped \\(SIGCONT lets it go on\\), .*waits for, up to 120 s\n`));
    change({});
    process.kill(next, "SIGKILL");
    await supervisor.logs(new RegExp(`pid ${next} was ended by SIGKILL before it took over: pid ${old} goes on`));
    await supervisor.logs(new RegExp(`took over from pid ${old}`));
    expect(await clients.faults()).toEqual([]);
    supervisor.kill("SIGTERM");
    expect(await ended(supervisor)).toMatchObject({ code: 143 });
  });

  it("goes on when the old process is killed half way", async () => {
    const { supervisor, change } = await serve();
    const [old = 0] = childrenOf(supervisor.pid);
    change({ failure: { step: "adopt", how: "SIGSTOP" } });
    supervisor.kill("SIGHUP");
    await supervisor.prints(/"event":"failing"/);
    const next = childrenOf(supervisor.pid).at(-1) ?? 0;
    await vi.waitFor(() => expect(stateOf(next)).toBe("T"), { timeout: 10_000 });
    process.kill(old, "SIGKILL");
    process.kill(next, "SIGCONT");
    await supervisor.logs(
      new RegExp(`pid ${old} was ended by SIGKILL: connections that pid ${next} didn't have by then`),
    );
    supervisor.kill("SIGTERM");
    const { code, stderr } = await ended(supervisor);
    expect(code).toBe(143);
    expect(stderr).not.toContain("took over");
  });

  it("comes by itself with --watch when a file changes", async () => {
    const base = newFolder();
    const file = join(base, "server.ts");
    writeFileSync(file, `await import(${JSON.stringify(ECHO)});\n`);
    const options = join(newFolder(), "options.json");
    writeFileSync(options, "{}");
    const supervisor = supervise("--watch", file, options);
    await supervisor.prints(/"event":"listening"/);
    writeFileSync(join(base, ".hidden"), "");
    writeFileSync(join(base, "part.js"), "");
    await supervisor.logs(/took over from/);
    supervisor.kill("SIGTERM");
    expect((await ended(supervisor)).stderr.match(/took over/g)).toHaveLength(1);
  });

  it("also to another supervisor at the same path, after which the first ends with 0", async () => {
    const path = join(newFolder(), "takeover.sock");
    const options = join(newFolder(), "options.json");
    writeFileSync(options, "{}");
    const env = { SWITCHBOARD_TAKEOVER: path };
    const first = superviseIn({ env }, ECHO, options);
    const [, port] = await first.prints(/"event":"listening","port":(\d+)/);
    const clients = await EchoClients.open(Number(port), CLIENTS);
    const second = superviseIn({ env }, ECHO, options);
    expect(await ended(first)).toMatchObject({ code: 0, stderr: "" });
    expect(await clients.faults()).toEqual([]);
    second.kill("SIGTERM");
    expect(await ended(second)).toMatchObject({ code: 143 });
  });
});
