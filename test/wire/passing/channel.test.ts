/** Channels between this process and itself, or another. The takeover tests use channels between two programs. */
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { ChannelServer } from "../../../src/wire/passing/channel-server.ts";
import { connectChannel } from "../../../src/wire/passing/connect-channel.ts";
import type { DescriptorChannel } from "../../../src/wire/passing/descriptor-channel.ts";
import { RunningProgram } from "../../e2e/support/process.ts";
import { stateOf } from "../../support/process-state.ts";
import { socketsAt } from "../../support/unix-sockets.ts";

function temporaryPath(): string {
  const folder = mkdtempSync(join(tmpdir(), "channel-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, "socket");
}

/** What one end of a channel has received. */
class Inbox {
  readonly messages: unknown[] = [];
  readonly descriptors: number[] = [];
  readonly ended = Promise.withResolvers<Error | undefined>();
  #wake = (): void => {};

  constructor(channel: DescriptorChannel) {
    channel.start({
      received: (message, descriptors) => {
        this.messages.push(message);
        this.descriptors.push(...descriptors);
        this.#wake();
      },
      ended: (error) => this.ended.resolve(error),
    });
  }

  async has(count: number): Promise<void> {
    while (this.messages.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

async function listen(path: string): Promise<{ server: ChannelServer; accepted: DescriptorChannel[] }> {
  const accepted: DescriptorChannel[] = [];
  const server = await ChannelServer.listen(path, (channel) => accepted.push(channel));
  onTestFinished(() => server.close());
  return { server, accepted };
}

/** Both ends of a channel: the one that listened, and the one that connected. */
async function openChannel(): Promise<[DescriptorChannel, DescriptorChannel]> {
  const path = temporaryPath();
  const accepted = Promise.withResolvers<DescriptorChannel>();
  const server = await ChannelServer.listen(path, accepted.resolve);
  const connected = await connectChannel(path);
  if (connected === undefined) throw new Error("nobody listens");
  const other = await accepted.promise;
  onTestFinished(() => {
    server.close();
    connected.destroy();
    other.destroy();
  });
  return [other, connected];
}

describe.skipIf(whyNoPassing() !== undefined)("a channel", () => {
  it("carries messages of any size in both directions, with the peer's process and user", async () => {
    const [old, next] = await openChannel();
    const own = { pid: process.pid, uid: process.geteuid?.() };
    expect([old.peer, next.peer]).toEqual([own, own]);
    const [ofOld, ofNext] = [new Inbox(old), new Inbox(next)];
    const sizes = [0, 1, 65_535, 65_536, 1_000_000, 7];
    for (const size of sizes) {
      next.send(`u${"u".repeat(size)}`);
      old.send(`d${"d".repeat(size)}`);
    }
    await Promise.all([ofOld.has(sizes.length), ofNext.has(sizes.length)]);
    expect(ofOld.messages).toEqual(sizes.map((size) => `u${"u".repeat(size)}`));
    expect(ofNext.messages).toEqual(sizes.map((size) => `d${"d".repeat(size)}`));
  });

  it("carries more descriptors than fit into one message, each with the message that it was sent with", async () => {
    const [old, next] = await openChannel();
    const inbox = new Inbox(next);
    const [zero, nothing] = [openSync("/dev/zero", "r"), openSync("/dev/null", "r")];
    old.send("none");
    old.send("many", [...new Array(300).fill(zero), nothing]);
    old.send("one", [nothing]);
    await inbox.has(3);
    const devices = inbox.descriptors.map((descriptor) => fstatSync(descriptor).rdev);
    const expected = [...new Array(300).fill(fstatSync(zero).rdev), fstatSync(nothing).rdev, fstatSync(nothing).rdev];
    for (const descriptor of [zero, nothing, ...inbox.descriptors]) closeSync(descriptor);
    expect(devices).toEqual(expected);
    expect(inbox.messages).toEqual(["none", "many", "one"]);
  });

  it("ends when the other end is closed, after everything that was sent", async () => {
    const [old, next] = await openChannel();
    const [ofOld, ofNext] = [new Inbox(old), new Inbox(next)];
    old.send("last");
    old.close();
    expect(await ofNext.ended.promise).toBeUndefined();
    expect(ofNext.messages).toEqual(["last"]);
    expect(await ofOld.ended.promise).toBeUndefined();
    // Too late, and harmless.
    old.send("later", [0]);
  });

  it("ends with an error when bytes come that are no message", async () => {
    const path = temporaryPath();
    const accepted = Promise.withResolvers<DescriptorChannel>();
    const server = await ChannelServer.listen(path, accepted.resolve);
    onTestFinished(() => server.close());
    const messages = connect({ path });
    messages.write("M");
    const [token] = await once(messages, "data");
    const descriptors = connect({ path });
    descriptors.write(Buffer.concat([Buffer.from("D"), token]));
    const inbox = new Inbox(await accepted.promise);
    messages.write(Buffer.alloc(64, 0xff));
    expect(await inbox.ended.promise).toMatchObject({ code: "ERR_TAKEOVER_LOST" });
    for (const socket of [messages, descriptors]) socket.destroy();
  });
});

describe.skipIf(whyNoPassing() !== undefined)("a channel server", () => {
  it("isn't found where none listens, or listened", async () => {
    const path = temporaryPath();
    expect(await connectChannel(path)).toBeUndefined();
    const { server } = await listen(path);
    server.close();
    expect(existsSync(path)).toBe(false);
    expect(await connectChannel(path)).toBeUndefined();
  });

  it("isn't found at the socket of a process that was killed", async () => {
    const path = temporaryPath();
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`;
    const program = new RunningProgram(process.execPath, ["-e", script]);
    await program.prints(/up/);
    await program.destroy();
    expect(existsSync(path)).toBe(true);
    expect(await connectChannel(path)).toBeUndefined();
    await listen(path);
    (await connectChannel(path))?.destroy();
  });

  it("isn't found when its process is killed before it has answered", async () => {
    const path = temporaryPath();
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`;
    const program = new RunningProgram(process.execPath, ["-e", script]);
    await program.prints(/up/);
    program.kill("SIGSTOP");
    await vi.waitFor(() => expect(stateOf(program.pid)).toBe("T"));
    const found = connectChannel(path);
    await vi.waitFor(() => expect(socketsAt(path)).toBe(2));
    program.kill("SIGKILL");
    expect(await found).toBeUndefined();
  });

  it("isn't found when it ends at the moment of the connection", async () => {
    const path = temporaryPath();
    const server = createServer().listen(path);
    await once(server, "listening");
    const found = connectChannel(path);
    // The system has connected, and nobody has accepted.
    server.close();
    expect(await found).toBeUndefined();
  });

  it("isn't found when it closes a connection, and waits no longer", async () => {
    const path = temporaryPath();
    const server = createServer((socket) => {
      socket.destroy();
      server.close();
    }).listen(path);
    await once(server, "listening");
    expect(await connectChannel(path)).toBeUndefined();
  });

  it("refuses by closing each connection", async () => {
    const path = temporaryPath();
    const server = createServer((socket) => socket.destroy()).listen(path);
    onTestFinished(() => void server.close());
    await once(server, "listening");
    await expect(connectChannel(path)).rejects.toMatchObject({ code: "ERR_TAKEOVER_REFUSED" });
  });

  it("leaves nothing behind, and removes no file, where it can't listen", async () => {
    const path = temporaryPath();
    mkdirSync(path);
    await expect(listen(path)).rejects.toMatchObject({ code: "EISDIR" });
    expect(readdirSync(dirname(path))).toEqual([basename(path)]);
    rmSync(path, { recursive: true });
    const own = `${path}.${process.pid}`;
    writeFileSync(own, "data");
    await expect(listen(path)).rejects.toMatchObject({ code: "EADDRINUSE" });
    expect(readFileSync(own, "utf8")).toBe("data");
  });

  it("replaces another at the same path, whose end doesn't remove the newer one", async () => {
    const path = temporaryPath();
    const [first, second] = [await listen(path), await listen(path)];
    first.server.close();
    const channel = await connectChannel(path);
    await expect.poll(() => second.accepted.length).toBe(1);
    expect(first.accepted).toEqual([]);
    for (const one of [channel, ...second.accepted]) one?.destroy();
  });

  it.each(["X", `D${"0".repeat(16)}`])("closes a connection that begins with %j", async (text) => {
    const path = temporaryPath();
    const { accepted } = await listen(path);
    const stranger = connect({ path });
    let received = "";
    stranger.on("data", (chunk) => {
      received += chunk;
    });
    stranger.on("error", () => {});
    stranger.write(text);
    await once(stranger, "close");
    expect([received, accepted.length]).toEqual(["", 0]);
  });

  it.skipIf(process.geteuid?.() !== 0)("gives nothing to a process of another user that can connect", async () => {
    const path = temporaryPath();
    chmodSync(join(path, ".."), 0o755);
    const { accepted } = await listen(path);
    chmodSync(path, 0o777);
    const script = `process.setgid(65534); process.setuid(65534);
      const socket = require("net").connect(${JSON.stringify(path)}, () => { console.log("connected"); socket.write("M"); });
      socket.on("data", (data) => console.log("got", data.length)).on("error", () => {}).on("close", () => console.log("closed"));`;
    const { stdout } = await new RunningProgram(process.execPath, ["-e", script]).exit;
    expect(stdout).toBe("connected\nclosed\n");
    expect(accepted).toEqual([]);
  });
});
