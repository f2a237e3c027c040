import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { Peer, type StandardSocketClass } from "./support/peer.ts";
import { projectFolder, RunningProgram, run } from "./support/process.ts";
import { findOldNode } from "./support/programs.ts";

/** Compiles only if the types are real, not any. */
const MISUSE = `
import { Actor, type Message, Switchboard } from "switchboard";

export default class Chat extends Actor<{ readonly user: string }> {
  override received(message: Message): void {
    this.send(this.session.user + message.text);
    // @ts-expect-error A session has only what its type says.
    this.send(this.session.age);
    // @ts-expect-error A number can't be sent.
    this.send(42);
  }
}

export const board: Switchboard = await Switchboard.start({ actor: new URL("./chat.js", import.meta.url), shards: 2 });
// @ts-expect-error There is no such option.
await Switchboard.start({ actor: "file:///chat.js", threads: 2 });
`;

/** An example of the README, by the file name in its first line. */
async function readmeExample(file: string): Promise<string> {
  const readme = await readFile(join(projectFolder, "README.md"), "utf8");
  const [, after] = readme.split(`\n// ${file}`);
  if (after === undefined) throw new Error(`the README has no example ${file}`);
  return `// ${file}${after.slice(0, after.indexOf("\n```"))}\n`;
}

// The tools of npm run with the Node that runs this test.
const env = { ...process.env, PATH: [dirname(process.execPath), process.env["PATH"]].join(delimiter) };
const socketClass = WebSocket as unknown as StandardSocketClass;

describe("the package", () => {
  let folder: string;
  let tarball: string;
  let user: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "switchboard-package-"));
    await run("npm", ["pack", "--pack-destination", folder], { cwd: projectFolder, env });
    const [name = ""] = await readdir(folder);
    tarball = join(folder, name);

    user = join(folder, "user");
    await mkdir(user);
    await writeFile(join(user, "package.json"), JSON.stringify({ private: true, type: "module" }));
    for (const file of ["server.js", "chat.js"]) await writeFile(join(user, file), await readmeExample(file));
    await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", tarball], { cwd: user, env });
  }, 180_000);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  function startServer(node = process.execPath): RunningProgram {
    const server = new RunningProgram(node, ["server.js"], { cwd: user, env: { ...process.env, PORT: "0" } });
    onTestFinished(() => server.destroy());
    return server;
  }

  it("holds what was built, the README, the license and package.json, and nothing else", async () => {
    const { stdout } = await run("tar", ["-tzf", tarball]);
    const files = stdout.trim().split("\n");
    const expected = [
      "README.md",
      "LICENSE",
      "package.json",
      "dist/index.js",
      "dist/index.d.ts",
      "dist/workers/shard.js",
    ];
    expect(files).toEqual(expect.arrayContaining(expected.map((file) => `package/${file}`)));
    expect(
      files.filter((file) => !/^package\/(dist\/.+\.(js|d\.ts)|README\.md|LICENSE|package\.json)$/.test(file)),
    ).toEqual([]);
  });

  it("runs the server and the actor of the README, in plain JavaScript", async () => {
    const server = startServer();
    const [, port] = await server.prints(/listening on (\d+)/);
    const url = `ws://127.0.0.1:${port}/chat/lobby`;
    const [one, two] = await Promise.all([Peer.open(socketClass, url), Peer.open(socketClass, url)]);
    expect(await one.next()).toContain("welcome to lobby");
    expect(await two.next()).toContain("welcome to lobby");
    one.send("is anybody there?");
    expect(await two.next()).toBe("is anybody there?");
    two.send(Uint8Array.of(1, 2, 3));
    expect(await one.next()).toEqual(Buffer.of(1, 2, 3));

    server.kill("SIGTERM");
    expect(await one.closed).toMatchObject({ code: 1001 });
    const { code, stdout, stderr } = await server.exit;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("{ closed: 2, dropped: 0 }");
  });

  it("has types for every public name and for the README's actor", async () => {
    const publicNames = await readFile(join(projectFolder, "src/index.ts"), "utf8");
    await writeFile(join(user, "names.ts"), publicNames.replaceAll(/from "[^"]+"/g, 'from "switchboard"'));
    await writeFile(join(user, "misuse.ts"), MISUSE);
    await writeFile(join(user, "chat.ts"), await readmeExample("chat.ts"));
    const compilerOptions = {
      target: "es2024",
      module: "nodenext",
      strict: true,
      noEmit: true,
      types: ["node"],
      typeRoots: [join(projectFolder, "node_modules/@types")],
    };
    await writeFile(
      join(user, "tsconfig.json"),
      JSON.stringify({ compilerOptions, files: ["names.ts", "misuse.ts", "chat.ts"] }),
    );
    await run(process.execPath, [join(projectFolder, "node_modules/typescript/bin/tsc")], { cwd: user });
  }, 120_000);

  const oldNode = findOldNode();
  if (oldNode === undefined) console.log("skipped: no Node older than 22 on the PATH to see the package refuse it");

  it.skipIf(oldNode === undefined)(
    "says on an older Node, at once and in one sentence, which versions it needs",
    async () => {
      const { code, stdout, stderr } = await startServer(oldNode).exit;
      expect(code).toBe(1);
      expect(stdout).toBe("");
      expect(stderr).toMatch(
        /^SwitchboardError: Switchboard needs Node 22\.18 .* 24\.20 .* 26\.6 .*; this is Node \d+\.\d+\.\d+$/m,
      );
      expect(stderr.match(/Switchboard needs Node/g)).toHaveLength(1);
      expect(stderr).toContain("code: 'ERR_NODE_VERSION'");
    },
  );
});
