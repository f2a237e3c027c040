import { once } from "node:events";
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  duplicate,
  MAX_DESCRIPTORS_IN_MESSAGE,
  peerOf,
  receiveDescriptors,
  sendDescriptors,
  whyNoPassing,
} from "../../../src/wire/native/pass-descriptors.ts";
import { closeDescriptor } from "../../../src/wire/native/sockets.ts";
import { descriptorOf } from "../../../src/wire/node-internals/net.ts";
import { RunningProgram } from "../../e2e/support/process.ts";
import { missingLibc } from "./availability.ts";

/** A folder that is removed after the test. */
function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "passing-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** The two ends of a Unix socket in this process; Node reads neither. */
async function socketPair(): Promise<[Socket, Socket]> {
  const path = join(folder(), "socket");
  const server = createServer({ pauseOnConnect: true });
  server.listen(path);
  await once(server, "listening");
  const client = connect({ path });
  client.pause();
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [
    [Socket],
    unknown,
  ];
  onTestFinished(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });
  return [client, accepted];
}

describe.skipIf(missingLibc !== undefined || process.platform !== "linux")("descriptors", () => {
  it("can be passed on this system", () => {
    expect(whyNoPassing()).toBeUndefined();
  });

  it.each([1, 2, 3, MAX_DESCRIPTORS_IN_MESSAGE])("%i of them arrive in one message, in order", async (count) => {
    const path = folder();
    const sent = Array.from({ length: count }, (_, index) => {
      writeFileSync(join(path, String(index)), `file ${index}`);
      return openSync(join(path, String(index)), "r");
    });
    const [from, to] = await socketPair();
    sendDescriptors(descriptorOf(from), sent);
    // The copies live on their own.
    for (const descriptor of sent) closeSync(descriptor);
    const received = receiveDescriptors(descriptorOf(to));
    const texts = received.map((descriptor) => {
      const buffer = Buffer.alloc(16);
      const length = readSync(descriptor, buffer);
      closeSync(descriptor);
      return buffer.toString("utf8", 0, length);
    });
    expect(texts).toEqual(sent.map((_, index) => `file ${index}`));
  });

  it("of two messages aren't mixed", async () => {
    const [from, to] = await socketPair();
    const [one, two] = [openSync("/dev/null", "r"), openSync("/dev/zero", "r")];
    sendDescriptors(descriptorOf(from), [one]);
    sendDescriptors(descriptorOf(from), [two, one]);
    const received = [receiveDescriptors(descriptorOf(to)), receiveDescriptors(descriptorOf(to))];
    const devices = received.map((some) => some.map((descriptor) => fstatSync(descriptor).rdev));
    for (const descriptor of [one, two, ...received.flat()]) closeDescriptor(descriptor);
    const [zero, nothing] = [devices[1]?.[0], devices[1]?.[1]];
    expect(devices).toEqual([[nothing], [zero, nothing]]);
    expect(zero).not.toBe(nothing);
  });

  it("that weren't sent aren't waited for", async () => {
    const [, to] = await socketPair();
    expect(() => receiveDescriptors(descriptorOf(to))).toThrow(/recvmsg failed: EAGAIN/);
  });

  it("fail to leave when the other end is gone", async () => {
    const [from, to] = await socketPair();
    to.destroy();
    await once(to, "close");
    expect(() => sendDescriptors(descriptorOf(from), [0])).toThrow(/sendmsg failed: EPIPE/);
  });

  it("without room for all of them are an error, and none stays open", async () => {
    const program = new URL("programs/few-descriptors.ts", import.meta.url).pathname;
    const running = new RunningProgram("sh", ["-c", `ulimit -n 60; exec "$0" "$1"`, process.execPath, program]);
    onTestFinished(() => running.destroy());
    const { stdout, stderr } = await running.exit;
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({ code: "ERR_OUT_OF_DESCRIPTORS", leaked: 0 });
  });

  it("can be doubled, and closed one by one", () => {
    const one = openSync("/dev/null", "r");
    const two = duplicate(one);
    closeSync(one);
    expect(fstatSync(two).isCharacterDevice()).toBe(true);
    closeDescriptor(two);
    expect(() => fstatSync(two)).toThrow(/EBADF/);
    expect(() => duplicate(two)).toThrow(/fcntl failed: EBADF/);
  });

  it("of a Unix socket tell who is at the other end", async () => {
    const [from, to] = await socketPair();
    const own = { pid: process.pid, uid: process.geteuid?.() };
    expect([peerOf(descriptorOf(from)), peerOf(descriptorOf(to))]).toEqual([own, own]);
  });

  it("of a Unix socket tell another process and its user", async () => {
    const path = join(folder(), "socket");
    const server = createServer();
    server.listen(path);
    await once(server, "listening");
    const running = new RunningProgram(process.execPath, ["-e", `require("net").connect(${JSON.stringify(path)})`]);
    onTestFinished(async () => {
      server.close();
      await running.destroy();
    });
    const [socket] = (await once(server, "connection")) as [Socket];
    expect(peerOf(descriptorOf(socket))).toEqual({ pid: running.pid, uid: process.geteuid?.() });
    socket.destroy();
  });
});
