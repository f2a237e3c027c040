/** Connects to the process that listens for channels. The process that takes over does that. */
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { SwitchboardError } from "../../errors.ts";
import { peerOf } from "../native/pass-descriptors.ts";
import { descriptorOf } from "../node-internals/net.ts";
import { DescriptorChannel } from "./descriptor-channel.ts";
import { CONNECT_TIMEOUT_MS, DESCRIPTORS, MESSAGES, readExactly, TOKEN_BYTES } from "./first-bytes.ts";

/** Codes of Node that mean that no process listens: there is no file, or its process has ended. */
const NOBODY = ["ENOENT", "ECONNREFUSED"];

/**
 * Time in ms in which a process that closes connections without an answer has ended, or has removed its socket. A
 * process that was killed closes its sockets one after the other.
 */
const END_TIMEOUT_MS = 1_000;
const LOOK_MS = 10;

/** The process at the other end closed the connection, and gave no reason. */
class Closed extends SwitchboardError {
  constructor(path: string, cause: Error) {
    super("ERR_TAKEOVER_REFUSED", whyRefused(path, cause.message), { cause });
  }
}

/**
 * Connects to the process that listens at a path. Resolves with undefined if none does, also if that process ends, or
 * waits no longer, before it has answered. Rejects with `ERR_TAKEOVER_TIMEOUT` if that process doesn't answer within
 * `timeoutMs`, with `ERR_TAKEOVER_REFUSED` if it belongs to another user, or listens and closes each connection
 * for a second, and as `net.Socket` does.
 */
export async function connectChannel(
  path: string,
  timeoutMs = CONNECT_TIMEOUT_MS,
): Promise<DescriptorChannel | undefined> {
  let deadline: number | undefined;
  for (;;) {
    try {
      return await connectOnce(path, timeoutMs);
    } catch (error) {
      if (!(error instanceof Closed)) throw error;
      deadline ??= performance.now() + END_TIMEOUT_MS;
      if (performance.now() > deadline) throw error;
      await delay(LOOK_MS);
    }
  }
}

async function connectOnce(path: string, timeoutMs: number): Promise<DescriptorChannel | undefined> {
  const messages = connect({ path });
  try {
    await connected(messages);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (NOBODY.includes(code)) return undefined;
    // The process ended, or stopped listening, before it accepted.
    if (code === "ECONNRESET") throw new Closed(path, error as Error);
    throw error;
  }
  return pair(messages, path, timeoutMs);
}

async function pair(messages: Socket, path: string, timeoutMs: number): Promise<DescriptorChannel> {
  const open = [messages];
  let slow = false;
  const timer = setTimeout(() => {
    slow = true;
    for (const socket of open) socket.destroy();
  }, timeoutMs);
  messages.on("error", () => {});
  try {
    const peer = peerOf(descriptorOf(messages));
    if (peer.uid !== process.geteuid?.()) {
      throw new SwitchboardError("ERR_TAKEOVER_REFUSED", whyRefused(path, "it belongs to another user"));
    }
    messages.write(MESSAGES);
    const token = await readExactly(messages, TOKEN_BYTES);
    const descriptors = connect({ path });
    // A paused socket isn't read when it connects: Node would drop the descriptors that arrive.
    descriptors.pause();
    open.push(descriptors);
    await connected(descriptors);
    await new Promise<void>((resolve, reject) => {
      descriptors.write(Buffer.concat([Buffer.from(DESCRIPTORS), token]), (error) =>
        error ? reject(error) : resolve(),
      );
    });
    return new DescriptorChannel(messages, descriptors, peer);
  } catch (cause) {
    for (const socket of open) socket.destroy();
    if (slow) {
      const message = `the process that listens at ${path} didn't answer within ${timeoutMs} ms`;
      throw new SwitchboardError("ERR_TAKEOVER_TIMEOUT", message, { cause });
    }
    if (cause instanceof SwitchboardError) throw cause;
    throw new Closed(path, cause as Error);
  } finally {
    clearTimeout(timer);
  }
}

function whyRefused(path: string, why: string): string {
  return `the process that listens at ${path} can't be taken over: ${why}`;
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("connect", resolve).once("error", reject);
    socket.once("close", () => reject(new Error("the connection was closed")));
  });
}
