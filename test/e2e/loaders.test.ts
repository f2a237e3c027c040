import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { codeBlocks, readReadme } from "../support/readme.ts";
import { Peer, type StandardSocketClass } from "./support/peer.ts";
import { projectFolder, RunningProgram, run } from "./support/process.ts";

/**
 * Starts a board with the actor that its first argument names, and prints its port, or the code and message of the
 * error.
 */
const SERVER = `
import { Switchboard } from "switchboard";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

async function main() {
  const board = await Switchboard.start({ actor: pathToFileURL(resolve(process.argv[2])), shards: 1 });
  const { port } = await board.listen({ port: 0, host: "127.0.0.1" });
  console.log("listening on " + port);
  process.once("SIGTERM", () => board.close());
}
main().catch(({ code, message }) => {
  console.log(code + ": " + message);
  process.exit();
});
`;

/**
 * Body of an actor class that depends on the base class: handlers that override its handlers, and a call of its `send`.
 */
const BODY = `extends Actor {
  opened() { this.send("welcome"); }
  received(message) { this.send(message); }
  async mailed(mail) { return mail; }
}`;
const COMMON_JS = `const { Actor } = require("switchboard");\n`;

const FILES = {
  "server.js": SERVER,
  "chat.js": `import { Actor } from "switchboard";\nexport default class Chat ${BODY}`,
  // TypeScript that isn't also JavaScript: it runs only if a loader compiled the file.
  "chat.ts": `import { Actor } from "switchboard";\nenum Empty {}\nvoid Empty;\nexport default class Chat ${BODY}`,
  "common/package.json": "{}",
  "common/server.js": SERVER.replace(
    'import { Switchboard } from "switchboard";',
    'const { Switchboard } = require("switchboard");',
  ).replaceAll(/import \{ (\w+) \} from ("\S+");/g, "const { $1 } = require($2);"),
  "common/assigned.js": `${COMMON_JS}module.exports = class Chat ${BODY};`,
  "common/default.js": `${COMMON_JS}exports.default = class Chat ${BODY};\nexports.authorize = () => ({ session: 1 });`,
  "common/compiled.js": `"use strict";\nObject.defineProperty(exports, "__esModule", { value: true });\n${COMMON_JS}class Chat ${BODY}\nexports.default = Chat;`,
  "common/typed.ts": `import { Actor } from "switchboard";\nenum Empty {}\nvoid Empty;\nexport default class Chat ${BODY}`,
  "common/none.js": "exports.default = class Chat {};",
};

const socketClass = WebSocket as unknown as StandardSocketClass;
/** The arguments with which the command tsx runs Node. The command itself would be one more process. */
const tsx = ["--require", "preflight.cjs", "--import", "loader.mjs"].map((arg) =>
  arg.startsWith("--") ? arg : join(projectFolder, "node_modules/tsx/dist", arg),
);

describe("the built package", () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "switchboard-loaders-"));
    const packageFolder = join(folder, "node_modules/switchboard");
    await mkdir(packageFolder, { recursive: true });
    const tsup = join(projectFolder, "node_modules/tsup/dist/cli-default.js");
    const options = { cwd: projectFolder };
    await run(process.execPath, [tsup, "--no-dts", "--out-dir", join(packageFolder, "dist")], options);
    await cp(join(projectFolder, "package.json"), join(packageFolder, "package.json"));
    for (const name of ["piscina", "eventemitter3"]) {
      await symlink(join(projectFolder, "node_modules", name), join(folder, "node_modules", name));
    }
    await writeFile(join(folder, "package.json"), '{ "type": "module" }');
    for (const [file, source] of Object.entries(FILES)) {
      await mkdir(dirname(join(folder, file)), { recursive: true });
      await writeFile(join(folder, file), source);
    }
  }, 120_000);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  function start(args: readonly string[]): RunningProgram {
    // Only the loader under test: not the one that finds our sources.
    const env = { ...process.env, NODE_OPTIONS: "", PORT: "0" };
    const program = new RunningProgram(process.execPath, args, { cwd: folder, env });
    onTestFinished(() => program.destroy());
    return program;
  }

  async function expectEcho(args: readonly string[]): Promise<void> {
    const program = start(args);
    const [, port] = await program.prints(/listening on (\d+)/);
    const peer = await Peer.open(socketClass, `ws://127.0.0.1:${port}/`);
    expect(await peer.next()).toBe("welcome");
    peer.send("hello");
    expect(await peer.next()).toBe("hello");
    program.kill("SIGTERM");
    expect(await program.exit).toMatchObject({ code: 0, stderr: "" });
  }

  async function bundle(entry: string, outfile: string, options: object): Promise<string> {
    const file = join(folder, outfile);
    await build({
      entryPoints: [join(folder, entry)],
      outfile: file,
      bundle: true,
      platform: "node",
      logLevel: "error",
      ...options,
    });
    return file;
  }

  const own = ["server.js", "common/server.js"];
  const actors = ["chat.js", "common/assigned.js", "common/default.js", "common/compiled.js"];
  it.each(own.flatMap((server) => actors.map((actor) => [server, actor])))("runs %s with the actor %s", (...args) =>
    expectEcho(args),
  );

  it.each([
    ["server.js", "chat.ts"],
    ["server.js", "common/typed.ts"],
    ["server.js", "common/default.js"],
    ["common/server.js", "common/typed.ts"],
    ["common/server.js", "chat.ts"],
  ])("runs %s with the actor %s under tsx", (...args) => expectEcho([...tsx, ...args]));

  it("loads the package once in a shard under tsx", async () => {
    const source = `import { Actor } from "switchboard";
      export default class Chat extends Actor {
        opened() {
          const files = Object.keys(process.getBuiltinModule("node:module")._cache);
          this.send(files.filter((file) => file.includes("switchboard/dist/") && !file.includes("/workers/")).join());
        }
      }`;
    await writeFile(join(folder, "once.js"), source);
    const program = start([...tsx, "server.js", "once.js"]);
    const [, port] = await program.prints(/listening on (\d+)/);
    const peer = await Peer.open(socketClass, `ws://127.0.0.1:${port}/`);
    expect(await peer.next()).toBe("");
  });

  it.each(["esm", "cjs"] as const)(
    "runs an actor that esbuild bundled with the package inside, as %s",
    async (format) => {
      const actor = await bundle("chat.js", `bundled-actor-${format}/chat.${format === "esm" ? "mjs" : "cjs"}`, {
        format,
      });
      await expectEcho(["server.js", actor]);
    },
  );

  it.each(["esm", "cjs"] as const)(
    "runs a server that esbuild bundled with the package external, as %s",
    async (format) => {
      const outfile = `bundled-server/server.${format === "esm" ? "mjs" : "cjs"}`;
      const server = await bundle("server.js", outfile, { format, external: ["switchboard"] });
      await expectEcho([server, "chat.js"]);
    },
  );

  it.each(["esm", "cjs"] as const)(
    "names the packages to mark as external when a server was bundled whole, as %s",
    async (format) => {
      const server = await bundle("server.js", `whole/server.${format === "esm" ? "mjs" : "cjs"}`, {
        format,
        logLevel: "silent",
      });
      const { code, stdout, stderr } = await start([server, "chat.js"]).exit;
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/^ERR_BUNDLED: .*--external:switchboard/);
    },
  );

  it("runs beside Vite's hot module replacement, as the guide shows", async () => {
    const [, section = ""] = readReadme("src/guides/bundlers.md").split("\n## Vite\n");
    await writeFile(join(folder, "vite-server.js"), codeBlocks(section)[0]?.code ?? "");
    await symlink(join(projectFolder, "node_modules/vite"), join(folder, "node_modules/vite"));
    await writeFile(join(folder, "index.html"), "<!doctype html><title>a page</title>");
    const [, port] = await start(["vite-server.js"]).prints(/listening on (\d+)/);
    const page = await (await fetch(`http://localhost:${port}/`)).text();
    expect(page).toContain("/@vite/client");
    const client = await (await fetch(`http://localhost:${port}/@vite/client`)).text();
    const [, token] = /wsToken = "([^"]+)"/.exec(client) ?? [];
    const hmr = await Peer.open(socketClass, `ws://localhost:${port}/?token=${token}`, ["vite-hmr"]);
    expect(await hmr.next()).toContain("connected");
    const peer = await Peer.open(socketClass, `ws://localhost:${port}/chat/lobby`);
    expect(await peer.next()).toBe("welcome");
  });

  it("runs an actor of a linked package that has its own copy of Switchboard", async () => {
    const linked = join(folder, "elsewhere/actors");
    await mkdir(join(linked, "node_modules"), { recursive: true });
    await cp(join(folder, "node_modules/switchboard"), join(linked, "node_modules/switchboard"), { recursive: true });
    for (const name of ["piscina", "eventemitter3"]) {
      await symlink(join(projectFolder, "node_modules", name), join(linked, "node_modules", name));
    }
    await writeFile(join(linked, "package.json"), '{ "name": "actors", "type": "module" }');
    await writeFile(join(linked, "chat.js"), FILES["chat.js"]);
    await symlink(linked, join(folder, "node_modules/actors"));
    await expectEcho(["server.js", "node_modules/actors/chat.js"]);
  });

  it("runs a linked package", async () => {
    const user = join(folder, "user");
    await mkdir(join(user, "node_modules"), { recursive: true });
    await symlink(join(folder, "node_modules/switchboard"), join(user, "node_modules/switchboard"));
    await writeFile(join(user, "package.json"), '{ "type": "module" }');
    for (const file of ["server.js", "chat.js"] as const) await writeFile(join(user, file), FILES[file]);
    await expectEcho([join(user, "server.js"), join(user, "chat.js")]);
  });

  it("rejects a CommonJS actor module without an actor class and lists its exports", async () => {
    const { stdout } = await start(["server.js", "common/none.js"]).exit;
    expect(stdout).toMatch(/^ERR_NO_ACTOR_CLASS: .*common\/none\.js must have .* a function or class that doesn't$/m);
  });

  it("calls an authorize that CommonJS exports in a way that Node can't read from the source", async () => {
    const source = `${COMMON_JS}class Chat ${BODY}\nmodule.exports = Object.assign(Chat, { authorize: 42 });`;
    await writeFile(join(folder, "common/hidden.js"), source);
    const { stdout } = await start(["server.js", "common/hidden.js"]).exit;
    expect(stdout).toMatch(/^ERR_AUTHORIZE_EXPORT: /);
  });
});
