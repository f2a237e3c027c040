import { globSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { Centrifuge, type PublicationContext } from "centrifuge";
import { parse } from "jsonc-parser";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { canMoveSockets } from "../../src/wire/transport/handoff.ts";
import { readmeExample } from "../support/readme.ts";
import { Peer, type StandardSocketClass } from "./support/peer.ts";
import { projectFolder, RunningProgram, run } from "./support/process.ts";
import { findOldNode } from "./support/programs.ts";

/** Compiles only if the types are real, not `any`. */
const MISUSE = `
import { Actor, type Message, Switchboard } from "switchboard";

export default class Chat extends Actor<{ readonly user: string }> {
  override received(message: Message): void {
    this.send(this.session.user + message.text);
    // @ts-expect-error A session has only the members of its type.
    this.send(this.session.age);
    // @ts-expect-error A number can't be sent.
    this.send(42);
  }
}

export const board: Switchboard = await Switchboard.start({ actor: new URL("./chat.js", import.meta.url), shards: 2 });
// @ts-expect-error This option doesn't exist.
await Switchboard.start({ actor: "file:///chat.js", threads: 2 });
`;

/** A program of one file: both ends of a protocol, with only the upgrades. */
const UPGRADES = `
import { once } from "node:events";
import { createServer } from "node:http";
import { onUpgrade, requestUpgrade, serveUpgrades, SwitchboardError, type Upgraded } from "switchboard/upgrade";

const server = createServer();
serveUpgrades(server, (request) => {
  if (request.url !== "/echo") return { status: 404 };
  onUpgrade(request).then((upgraded: Upgraded) => upgraded.pipe(upgraded), console.error);
  return { status: 101 };
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const address = server.address();
const url = "http://127.0.0.1:" + (typeof address === "object" ? address?.port : address);

const { upgraded } = await requestUpgrade(url + "/echo", "foobar");
const stream = await upgraded;
stream.end("through the package");
for await (const chunk of stream) console.log(String(chunk));

const refused = await requestUpgrade(url, "foobar");
refused.response.resume();
await refused.upgraded.catch((error: unknown) => {
  if (error instanceof SwitchboardError) console.log(error.code);
});
server.close();
// @ts-expect-error A service needs a status and headers.
serveUpgrades(server, () => ({ code: 101 }));
`;

/** Both ends of a WebSocket, without shards. */
const ALONE = `
import { createServer } from "node:http";
import { connect, serveUpgrades, upgradeConnection } from "switchboard/websocket";

const server = createServer().listen(0, "127.0.0.1", async () => {
  const socket = await connect("ws://127.0.0.1:" + server.address().port, { proxy: false });
  await socket.send("hello");
  for await (const message of socket) {
    console.log(message.text);
    socket.close();
  }
  server.close();
});
serveUpgrades(server, (request) => {
  const { response, websocket } = upgradeConnection(request);
  websocket.then((socket) => socket.readable.pipeTo(socket.writable));
  return response;
});
`;

/** The public names of each entry point of the package, by the source file that exports them. */
const ENTRIES = {
  "src/index.ts": "switchboard",
  "src/server/centrifuge/index.ts": "switchboard/centrifuge",
  "src/wire/upgrade/index.ts": "switchboard/upgrade",
  "src/wire/websocket/index.ts": "switchboard/websocket",
};
const namesFile = (entry: string): string => `names-${entry.replace("/", "-")}.ts`;

// The tools of npm run with the Node that runs this test, and nothing is preloaded: an old Node couldn't load it.
const path = [dirname(process.execPath), process.env["PATH"]].join(delimiter);
const env = { ...process.env, NODE_OPTIONS: "", PATH: path };
/** Takes away what every board says on a Node that can't move sockets. */
function withoutRelayWarning(stderr: string): string {
  if (canMoveSockets(process.versions.node)) return stderr;
  return stderr.replace(/^.*can't move sockets between threads.*\n(Start with .*\n)?(\(Use .*\n)?/m, "");
}

/** True if the build is newer than all that it is made of, as after an `npm install`: `npm pack` needs no new one. */
async function isBuilt(): Promise<boolean> {
  const changedAt = async (file: string): Promise<number> => (await stat(join(projectFolder, file))).mtimeMs;
  const builtAt = await changedAt("dist/index.d.ts").catch(() => 0);
  const sources = globSync(["{src,workers}/**", "*.json", "tsup.config.ts"], { cwd: projectFolder });
  return (await Promise.all(sources.map(changedAt))).every((at) => at < builtAt);
}

const socketClass = WebSocket as unknown as StandardSocketClass;

describe("the package", () => {
  let folder: string;
  let tarball: string;
  let user: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "switchboard-package-"));
    const how = (await isBuilt()) ? ["--ignore-scripts"] : [];
    await run("npm", ["pack", ...how, "--pack-destination", folder], { cwd: projectFolder, env });
    const [name = ""] = await readdir(folder);
    tarball = join(folder, name);

    user = join(folder, "user");
    await mkdir(user);
    await writeFile(join(user, "upgrades.ts"), UPGRADES);
    await writeFile(join(user, "package.json"), JSON.stringify({ private: true, type: "module" }));
    for (const file of ["server.js", "chat.js"]) await writeFile(join(user, file), readmeExample("README.md", file));
    for (const file of ["room.js", "rooms.js"]) {
      await writeFile(join(user, file), readmeExample("src/guides/streams.md", file));
    }
    await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", tarball], { cwd: user, env });
  }, 180_000);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  function startServer(node = process.execPath): RunningProgram {
    const options = { cwd: user, env: { ...env, PORT: "0" } };
    const server = new RunningProgram(node, ["server.js"], options);
    onTestFinished(() => server.destroy());
    return server;
  }

  it("contains the build, the guides and READMEs, the license and package.json, and nothing else", async () => {
    const { stdout } = await run("tar", ["-tzf", tarball]);
    const files = stdout.trim().split("\n");
    const expected = [
      "README.md",
      "LICENSE",
      "package.json",
      "src/guides/moving.md",
      "src/wire/transport/uring/README.md",
      "bench/README.md",
      "dist/index.js",
      "dist/index.d.ts",
      "dist/upgrade.js",
      "dist/upgrade.d.ts",
      "dist/websocket.js",
      "dist/websocket.d.ts",
      "dist/workers/shard.js",
      "dist/workers/engine.js",
      "dist/engines/memory.js",
      "dist/workers/load.js",
      "dist/cli/main.js",
      "dist/cli/demo/chat.js",
      "dist/cli/demo/page.html",
      "dist/config-schema.json",
    ];
    expect(files).toEqual(expect.arrayContaining(expected.map((file) => `package/${file}`)));
    expect(
      files.filter(
        (file) =>
          !/^package\/(dist\/.+\.(js|d\.ts)|dist\/cli\/demo\/page\.html|dist\/config-schema\.json|src\/.+\.md|bench\/README\.md|bench\/chart\.svg|README\.md|LICENSE|package\.json)$/.test(
            file,
          ),
      ),
    ).toEqual([]);
  });

  it("runs topics with history, kept by the engine in memory: a client resumes, as the guide shows", async () => {
    const { stdout, stderr } = await run(process.execPath, ["rooms.js"], { cwd: user });
    expect(withoutRelayWarning(stderr)).toBe("");
    expect(stdout.split("\n").slice(0, 3)).toEqual(["one", "two", "three"]);
    expect(stdout).toContain("the history is too short");
  });

  it("writes a config file with the schema of the package, which the check likes", async () => {
    const command = [join("node_modules", "switchboard", "dist", "cli", "main.js"), "config"];
    await run(process.execPath, [...command, "init"], { cwd: user });
    onTestFinished(() => rm(join(user, "switchboard.json")));
    const file = await readFile(join(user, "switchboard.json"), "utf8");
    expect(file).toContain('"$schema": "./node_modules/switchboard/dist/config-schema.json"');
    const { stdout } = await run(process.execPath, [...command, "check", "--config", "switchboard.json"], {
      cwd: user,
    });
    expect(stdout).toBe("ok\n");
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
    expect({ code, stderr: withoutRelayWarning(stderr) }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("{ closed: 2, dropped: 0, cut: 0 }");
  });

  it("has a command that load-tests a server and shows the demo", async () => {
    const server = startServer();
    const [, port] = await server.prints(/listening on (\d+)/);
    const command = join(user, "node_modules/.bin/switchboard");
    const load = ["--scenario", "idle", "--connections", "4", "--warmup", "0", "--duration", "0.1"];
    const { stdout } = await run(command, ["bench", `ws://127.0.0.1:${port}/chat/lobby`, ...load], { env });
    expect(stdout).toContain("connections  4 opened, 0 failed, 0 closed by the server\n");

    const demo = new RunningProgram(command, ["demo"], { env: { ...env, PORT: "0" } });
    onTestFinished(() => demo.destroy());
    const [, url = ""] = await demo.prints(/^The chat is at (\S+), with/);
    expect(await (await fetch(url)).text()).toContain("<html");
    const visitor = await Peer.open(socketClass, `${url.replace("http", "ws")}/chat/lobby`);
    expect(await visitor.next()).toBeTypeOf("string");
    demo.kill("SIGTERM");
    const { code, stderr } = await demo.exit;
    expect({ code, stderr: withoutRelayWarning(stderr) }).toEqual({ code: 0, stderr: "" });
  });

  /** Runs the command of the package as `npx` does. */
  async function command(...args: string[]): Promise<string> {
    const { stdout } = await run(join(user, "node_modules/.bin/switchboard"), args, { cwd: user, env });
    return stdout;
  }

  /** Starts the server of the package. */
  function serve(...args: string[]): RunningProgram {
    const server = new RunningProgram(join(user, "node_modules/.bin/switchboard"), ["serve", "--port", "0", ...args], {
      cwd: user,
      env: { ...env, SWITCHBOARD_PROMETHEUS_ENABLED: "true" },
    });
    onTestFinished(() => server.destroy());
    return server;
  }

  /** Connects the official client. Resolves with the next publication that it gets, once it is connected. */
  async function publicationOf(url: string, token: string): Promise<{ publication: Promise<PublicationContext> }> {
    const client = new Centrifuge(url, { token });
    onTestFinished(() => client.disconnect());
    const { promise: publication, resolve } = Promise.withResolvers<PublicationContext>();
    client.on("publication", resolve);
    client.connect();
    await client.ready();
    return { publication };
  }

  it("knows its version", async () => {
    const { version } = JSON.parse(await readFile(join(projectFolder, "package.json"), "utf8"));
    expect(await command("--version")).toBe(`${version}\n`);
  });

  it("serves clients with the secrets and the lines that it prints", async () => {
    const server = serve();
    const [, url = ""] = await server.prints(/clients +(ws:\S+)/);
    const [, token = ""] = await server.prints(/const token = "(.+)"/);
    const [, curl = ""] = await server.prints(/^ +(curl .+\/publish)$/m);
    const { publication } = await publicationOf(url, token);
    const metrics = await fetch(new URL("/metrics", url.replace("ws:", "http:")));
    expect({ status: metrics.status, text: await metrics.text() }).toEqual({
      status: 501,
      text: "metrics need the package prom-client: npm install prom-client@15\n",
    });
    const { stdout } = await run("sh", ["-c", curl]);
    expect(JSON.parse(stdout)).toEqual({ result: {} });
    expect(await publication).toMatchObject({ channel: "news", data: { text: "hello" } });
    server.kill("SIGTERM");
    const { code, stderr } = await server.exit;
    expect({ code, lines: withoutRelayWarning(stderr).trim().split("\n") }).toEqual({
      code: 0,
      lines: [expect.stringContaining("closing"), expect.stringContaining("closed")],
    });
  });

  it("serves clients with a config and tokens that it makes", async () => {
    const file = "realtime.json";
    await command("config", "init", file);
    const config = parse(await readFile(join(user, file), "utf8"));
    const channel = { without_namespace: { history_size: 10, history_ttl: "1m" } };
    const client = { ...config.client, subscribe_to_user_personal_channel: { enabled: true } };
    await writeFile(join(user, file), JSON.stringify({ ...config, client, channel }));
    expect(await command("config", "check", file)).toBe("ok\n");

    const server = serve("--config", file);
    const [, url = ""] = await server.prints(/clients +(ws:\S+)/);
    const [, api = ""] = await server.prints(/api +(http:\S+)/);
    const token = await command("token", "--config", file, "--user", "42");
    const { publication } = await publicationOf(url, token.trim());
    const response = await fetch(`${api}/publish`, {
      method: "POST",
      headers: { "X-API-Key": config.http_api.key },
      body: JSON.stringify({ channel: "#42", data: { text: "you" } }),
    });
    expect(await response.json()).toMatchObject({ result: { offset: 1 } });
    expect(await publication).toMatchObject({ channel: "#42", data: { text: "you" } });
    server.kill("SIGTERM");
    expect(await server.exit).toMatchObject({ code: 0 });
  });

  it("runs a program that imports only switchboard/upgrade", async () => {
    const { stdout, stderr } = await run(process.execPath, ["upgrades.ts"], { cwd: user });
    expect({ stdout, stderr }).toEqual({ stdout: "through the package\nERR_UPGRADE_REFUSED\n", stderr: "" });
  });

  it("runs a WebSocket server and client without shards", async () => {
    await writeFile(join(user, "alone.js"), ALONE);
    expect(await run(process.execPath, ["alone.js"], { cwd: user })).toMatchObject({ stdout: "hello\n", stderr: "" });
  });

  it("says what to install when the engine for Redis lacks its client", async () => {
    const program = `
import { redis } from "switchboard/redis";
const { module, options } = redis({ url: "redis://127.0.0.1" });
const { default: create } = await import(module);
await create(options, "node").catch(({ code, message }) => console.log(code, message));
`;
    await writeFile(join(user, "redis.js"), program);
    const { stdout } = await run(process.execPath, ["redis.js"], { cwd: user });
    expect(stdout).toMatch(/^ERR_ENGINE_PACKAGE .*npm install @redis\/client@6$/m);
  });

  it.each(["typescript", "typescript-7"])(
    "has types for every public name and for the actor of the README (%s)",
    async (compiler) => {
      for (const [index, entry] of Object.entries(ENTRIES)) {
        const publicNames = await readFile(join(projectFolder, index), "utf8");
        await writeFile(join(user, namesFile(entry)), publicNames.replaceAll(/from "[^"]+"/g, `from "${entry}"`));
      }
      await writeFile(join(user, "misuse.ts"), MISUSE);
      await writeFile(join(user, "chat.ts"), readmeExample("src/runtime/actor/README.md", "chat.ts"));
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
        JSON.stringify({
          compilerOptions,
          files: [...Object.values(ENTRIES).map(namesFile), "misuse.ts", "chat.ts", "upgrades.ts"],
        }),
      );
      await run(process.execPath, [join(projectFolder, "node_modules", compiler, "bin/tsc")], { cwd: user });
    },
    120_000,
  );

  const oldNode = findOldNode();
  if (oldNode === undefined) console.log("skipped: no Node older than 22 on the PATH to see the package refuse it");

  it.skipIf(oldNode === undefined)(
    "names the Node versions that it needs when it runs on an older one, in one sentence",
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

  it.skipIf(oldNode === undefined).each([["run", "server.js"], ["serve"], ["bench", "ws://localhost"], ["token"]])(
    "names them in each command (%s)",
    async (...args) => {
      const main = join(user, "node_modules/switchboard/dist/cli/main.js");
      const { code, stdout, stderr } = await new RunningProgram(oldNode ?? "", [main, ...args], { cwd: user, env })
        .exit;
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(/^switchboard: Switchboard needs Node 22\.18 .*; this is Node \d+\.\d+\.\d+\n$/);
    },
  );
});
