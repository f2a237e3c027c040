import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Centrifuge } from "centrifuge";
import { Centrifuge as ProtobufCentrifuge } from "centrifuge/build/protobuf";
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from "vitest";
import WebSocket, { type ClientOptions } from "ws";
import { whyNoPassing } from "../../src/wire/native/pass-descriptors.ts";
import { projectFolder, RunningProgram, run } from "../e2e/support/process.ts";
import { createCertificate } from "../support/certificate.ts";
import { text } from "../support/frames.ts";
import { Http2Client, openSession } from "../support/http2-client.ts";
import { codeBlocks, READMES, readReadme } from "../support/readme.ts";
import { RedisServer } from "../support/redis-server.ts";

// The examples of all READMEs, in one folder, under the file names that their first lines give. The example of the main
// README runs in test/e2e/package.test.ts.
const folder = mkdtempSync(join(tmpdir(), "switchboard-examples-"));
const options = {
  cwd: folder,
  env: { ...process.env, PORT: "0", ADMIN_PORT: "0", NO_PROXY: "localhost" },
};
const args = ["--import", join(projectFolder, "test/examples/package-names.ts")];
const { key, cert } = createCertificate();

/** The examples with tests below. */
const RUN = [
  "foobar.js",
  "echo.js",
  "counters.js",
  "counter.js",
  "secure.js",
  "secure-chat.js",
  "http2.js",
  "operated.js",
  "room.js",
  "rooms.js",
  "ticker.js",
  "prices.js",
  "member.js",
  "lounge.js",
  "several-actors.js",
  "admin.js",
  "realtime.js",
  "realtime-server.js",
  "occupancy.js",
  "occupancy-server.js",
  "chat-node.js",
  "chat-client.js",
  "cluster-node.js",
  "tallies.js",
  "tally.js",
  "growing-board.js",
  "generations.js",
  "mirror.js",
  "film.js",
];
const ELSEWHERE = ["server.js", "chat.js", "chat.ts"];

beforeAll(() => {
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "key.pem"), key);
  writeFileSync(join(folder, "cert.pem"), cert);
  for (const { file, code } of READMES.flatMap((readme) => codeBlocks(readReadme(readme)))) {
    if (file !== undefined) writeFileSync(join(folder, file), code);
  }
});

afterAll(() => rmSync(folder, { recursive: true }));

/** Runs an example that ends by itself. Returns its output; fails if it prints an error. */
async function linesOf(example: string): Promise<string[]> {
  const { stdout, stderr } = await run(process.execPath, [...args, example], options);
  expect(stderr).toBe("");
  return stdout.trim().split("\n");
}

/** Starts an example that keeps running. Returns the number that it prints. */
async function start(example: string, pattern: RegExp): Promise<{ program: RunningProgram; port: string }> {
  const program = new RunningProgram(process.execPath, [...args, example], options);
  onTestFinished(() => program.destroy());
  const [, port = ""] = await program.prints(pattern);
  return { program, port };
}

async function stop(program: RunningProgram): Promise<string> {
  program.kill("SIGTERM");
  const { code, stderr, stdout } = await program.exit;
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

/** The first message that a server sends, or the error. */
function greeting(url: string, client: ClientOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, client).on("error", reject);
    socket.on("message", (data) => {
      socket.close();
      socket.on("close", () => resolve(String(data)));
    });
  });
}

it("has a test for every example", () => {
  const files = READMES.flatMap((readme) => codeBlocks(readReadme(readme))).flatMap(({ file }) => file ?? []);
  expect(files.toSorted()).toEqual([...RUN, ...ELSEWHERE].toSorted());
});

it("foobar.js speaks a protocol of its own", async () => {
  expect(await linesOf("foobar.js")).toEqual(["101 hello"]);
});

it("echo.js runs both ends of a WebSocket, with messages and with streams", async () => {
  expect(await linesOf("echo.js")).toEqual([
    "hello",
    expect.stringMatching(/^[\d.]+ ms$/),
    "one",
    "two",
    "{ code: 1000, reason: '', wasClean: true }",
  ]);
});

it("counters.js sends mail to an actor, which restarts after a failure", async () => {
  const lines = await linesOf("counters.js");
  // Events may come at any time.
  expect(lines.toSorted()).toEqual(
    ["1", "1", "received restarted", "0 again, after: told to", "{ status: 'accepted' }"].toSorted(),
  );
});

it("tallies.js moves a connection there and back, with its actor's state", async () => {
  const lines = await linesOf("tallies.js");
  expect(lines).toEqual(["1 on shard 0", "{ moved: true }", "2 on shard 1", "3 on shard 0"]);
});

it("growing-board.js gives a shard another thread, and says so", async () => {
  expect(await linesOf("growing-board.js")).toEqual(["shard 0 has a new thread (request): 0 moved, 0 closed"]);
});

it.skipIf(whyNoPassing() !== undefined)("generations.js gives what it knows to the next process", async () => {
  const env = { ...options.env, SWITCHBOARD_TAKEOVER: join(mkdtempSync(join(folder, "takeover-")), "socket") };
  const start = async (count: number): Promise<RunningProgram> => {
    const program = new RunningProgram(process.execPath, [...args, "generations.js"], { ...options, env });
    onTestFinished(() => program.destroy());
    await program.prints(new RegExp(`^${count} answers\\n`));
    return program;
  };
  const old = await start(1);
  await start(2);
  expect(await old.exit).toMatchObject({ code: 0, stderr: "" });
});

it("rooms.js gets what it missed after a cut, and is told when it can't", async () => {
  const lines = await linesOf("rooms.js");
  expect(lines.slice(0, 3)).toEqual(["one", "two", "three"]);
  // A publication and its confirmation come in any order.
  expect(lines.slice(3, 5).toSorted()).toEqual(["four", "stored 7f3a"]);
  expect(lines.slice(5)).toEqual(["the history is too short: load the room's state again"]);
});

it("prices.js gets the newest price at once, and then the next", async () => {
  expect(await linesOf("prices.js")).toEqual(["102", "103"]);
});

/** Starts a board with the actor of an example. */
function startActor(actor: string): ReturnType<typeof start> {
  const code = `
    import { Switchboard } from "switchboard";
    const board = await Switchboard.start({ actor: new URL("./${actor}", import.meta.url), shards: 1 });
    board.closeOnSignals();
    const { port } = await board.listen({ port: 0 });
    console.log("port", port);
  `;
  writeFileSync(join(folder, `board-of-${actor}`), code);
  return start(`board-of-${actor}`, /port (\d+)/);
}

it("film.js sends a file of any length", async () => {
  const film = randomBytes(30_000_000);
  writeFileSync(join(folder, "film.mp4"), film);
  const { program, port } = await startActor("film.js");
  const client = new WebSocket(`ws://localhost:${port}`);
  const chunks: Buffer[] = [];
  client.on("message", (chunk: Buffer) => chunks.push(chunk));
  const [code] = await once(client, "close");
  expect(code).toBe(1000);
  expect(Buffer.concat(chunks).equals(film)).toBe(true);
  await stop(program);
});

it("mirror.js sends back messages of any length", async () => {
  const { program, port } = await startActor("mirror.js");
  const client = new WebSocket(`ws://localhost:${port}`);
  await once(client, "open");
  for (const bytes of [0, 20, 5_000, 200_000]) {
    const message = Buffer.alloc(bytes, `${bytes} `);
    client.send(message);
    const [answer] = await once(client, "message");
    expect(message.equals(answer)).toBe(true);
  }
  client.close();
  await once(client, "close");
  await stop(program);
});

it("lounge.js shows who is here, and takes a page reload for no leave", async () => {
  expect(await linesOf("lounge.js")).toEqual([
    "here: ada",
    "bob joined",
    "here: ada, bob",
    "{ connections: 2, users: 2 }",
    "bob left",
  ]);
});

it("chat-node.js runs on two boards over Redis, and chat-client.js goes on at the other when one is killed", async () => {
  const redis = await RedisServer.start();
  const env = { ...options.env, REDIS_URL: redis.url };
  const run = async (example: string, pattern: RegExp, ...more: string[]): Promise<[RunningProgram, string]> => {
    const program = new RunningProgram(process.execPath, [...args, example, ...more], {
      ...options,
      env,
      input: "pipe",
    });
    onTestFinished(() => program.destroy());
    const [, value = ""] = await program.prints(pattern);
    return [program, value];
  };
  const nodes = await Promise.all([1, 2].map(() => run("chat-node.js", /listening on (\d+)/)));
  const [one, other] = nodes.map(([, port]) => `ws://localhost:${port}`) as [string, string];
  const [ada, adasBoard] = await run("chat-client.js", /connected to (.+)/, one, other);
  const [bob, bobsBoard] = await run("chat-client.js", /connected to (.+)/, other, one);
  expect([adasBoard, bobsBoard]).toEqual([one, other]);
  ada.write("hello\n");
  for (const client of [ada, bob]) await client.prints(/^hello$/m);
  await nodes[0]?.[0].destroy();
  bob.write("is anybody here?\n");
  await bob.prints(/^is anybody here\?$/m);
  await ada.prints(new RegExp(`connected to ${other}`));
  ada.write("again\n");
  for (const client of [ada, bob]) await client.prints(/^again$/m);
  const [text] = await ada.prints(/^hello\n(?:.*\n)*again$/m);
  // What ada missed comes before she is connected again, or after, and once.
  expect(text.split("\n").toSorted()).toEqual(["again", `connected to ${other}`, "hello", "is anybody here?"]);
});

it("cluster-node.js runs as two nodes over Redis, which know each other and share their rooms", async () => {
  const redis = await RedisServer.start();
  const env = { ...options.env, REDIS_URL: redis.url };
  const startNode = async (name: string): Promise<{ program: RunningProgram; port: string }> => {
    const program = new RunningProgram(process.execPath, [...args, "cluster-node.js", name], { ...options, env });
    onTestFinished(() => program.destroy());
    const [, port = ""] = await program.prints(/listening on (\d+)/);
    return { program, port };
  };
  const [one, other] = [await startNode("chat-1"), await startNode("chat-2")];
  await one.program.prints(/chat-2 has joined/);
  const sockets = [one, other].map(({ port }) => new WebSocket(`ws://localhost:${port}/rooms/lobby`));
  onTestFinished(() => {
    for (const socket of sockets) socket.terminate();
  });
  // The room tells a client its position when the client is subscribed.
  for (const [message] of await Promise.all(sockets.map((socket) => once(socket, "message")))) {
    expect(JSON.parse(String(message))).toMatchObject({ reload: false });
  }
  const [listener, speaker] = sockets as [WebSocket, WebSocket];
  const heard = once(listener, "message");
  speaker.send(JSON.stringify({ id: "1", said: "hello" }));
  expect(JSON.parse(String((await heard)[0]))).toMatchObject({ text: "hello", position: { offset: 1 } });
  for (const socket of sockets) socket.terminate();
  await stop(other.program);
  await one.program.prints(/chat-2 has left/);
  await stop(one.program);
});

it("secure.js runs TLS and authorize in the shards, and takes a new certificate", async () => {
  const { program, port } = await start("secure.js", /listening on (\d+)/);
  const url = `wss://localhost:${port}/chat/lobby`;
  const headers = { Authorization: "Bearer me" };
  expect(await greeting(url, { ca: cert, headers })).toBe("welcome to lobby");
  await expect(greeting(url, { ca: cert })).rejects.toThrow("401");
  const renewed = createCertificate();
  writeFileSync(join(folder, "key.pem"), renewed.key);
  writeFileSync(join(folder, "cert.pem"), renewed.cert);
  onTestFinished(() => {
    writeFileSync(join(folder, "key.pem"), key);
    writeFileSync(join(folder, "cert.pem"), cert);
  });
  program.kill("SIGHUP");
  await program.prints(/renewed/);
  expect(await greeting(url, { ca: renewed.cert, headers })).toBe("welcome to lobby");
  await stop(program);
});

it("http2.js serves WebSockets over HTTP/2 and over HTTP/1.1", async () => {
  const { program, port } = await start("http2.js", /listening on (\d+)/);
  expect(await greeting(`wss://localhost:${port}/chat/lobby`, { ca: cert })).toContain("welcome to lobby");
  const session = await openSession(`https://localhost:${port}`, cert);
  const client = await Http2Client.open(session, { ":path": "/chat/attic" });
  expect(await client.text()).toContain("welcome to attic");
  client.write(text("to the others"));
  await client.close();
  session.close();
  await stop(program);
});

it("several-actors.js serves two actor modules on two paths", async () => {
  const { program, port } = await start("several-actors.js", /listening on (\d+)/);
  const url = `ws://localhost:${port}`;
  expect(await greeting(`${url}/chat/lobby`, {})).toContain("welcome to lobby");
  expect(await greeting(`${url}/admin`, { headers: { Authorization: "Bearer secret" } })).toBe("welcome, admin");
  await expect(greeting(`${url}/admin`, {})).rejects.toThrow("401");
  await stop(program);
});

it("realtime-server.js serves the official client beside an actor of its own", async () => {
  const { program, port } = await start("realtime-server.js", /listening on (\d+)/);
  const url = `ws://localhost:${port}`;
  type Client = Centrifuge | ProtobufCentrifuge;
  const connect = <T extends Client>(client: T): T => {
    onTestFinished(() => client.disconnect());
    client.connect();
    return client;
  };
  const address = `${url}/connection/websocket`;
  const subscribe = async (client: Client, channel: string): Promise<(data: unknown) => Promise<void>> => {
    const subscription = client.newSubscription(channel);
    const heard: unknown[] = [];
    subscription.on("publication", ({ data, tags }) => heard.push(tags === undefined ? data : { data, tags }));
    subscription.subscribe();
    await subscription.ready();
    return (data) => vi.waitFor(() => expect(heard).toContainEqual(data));
  };
  const ada = connect(new Centrifuge(address, { data: { user: "ada" } }));
  const bob = connect(new ProtobufCentrifuge(address, { data: Buffer.from('{"user":"bob"}') }));
  const adasNews = await subscribe(ada, "news:sports");
  const adasAttic = await subscribe(ada, "room:attic");
  await subscribe(bob, "room:lobby");
  const bobsAttic = bob.newSubscription("room:attic");
  const refused = new Promise((resolve) => bobsAttic.on("unsubscribed", resolve));
  bobsAttic.subscribe();
  expect(await refused).toMatchObject({ code: 403, reason: "not you" });
  await fetch(`http://localhost:${port}/7`);
  await adasNews({ data: { goal: "/7" }, tags: { team: "red" } });
  const visitor = new WebSocket(`${url}/chat/attic`);
  onTestFinished(() => visitor.terminate());
  await once(visitor, "message");
  visitor.send('{"from":"the chat"}');
  await adasAttic({ from: "the chat" });
  expect(await ada.rpc("sum", [1, 2])).toEqual({ data: { method: "sum", echo: [1, 2] } });
  const nobody = connect(new Centrifuge(address));
  const ended = new Promise((resolve) => nobody.on("disconnected", resolve));
  expect(await ended).toMatchObject({ code: 4501, reason: "log in first" });
  visitor.terminate();
  const left = new Promise((resolve) => ada.on("connecting", resolve));
  await stop(program);
  expect(await left).toMatchObject({ code: 3001 });
});

it("occupancy-server.js gets the reports of its actors, and surveys its shards", async () => {
  const { program, port } = await start("occupancy-server.js", /listening on (\d+)/);
  const client = new WebSocket(`ws://localhost:${port}/chat/lobby`);
  await program.prints(/\{ occupied: 'lobby' \}/);
  await program.prints(/shard \d+: Map\(1\) \{ 'lobby' => 1 \}/);
  client.close();
  await stop(program);
});

it("operated.js serves its metrics and its readiness, and closes in phases", async () => {
  const { program, port } = await start("operated.js", /operated on (\d+)/);
  const url = `http://localhost:${port}`;
  expect(await (await fetch(`${url}/metrics`)).text()).toContain('switchboard_shard_ready{shard="0"} 1');
  expect((await fetch(`${url}/ready`)).status).toBe(200);
  const stopped = stop(program);
  await expect.poll(async () => (await fetch(`${url}/ready`)).status).toBe(503);
  expect(await stopped).toContain("{ closed: 0, dropped: 0, cut: 0 }");
});
