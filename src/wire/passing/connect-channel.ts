/** Connects to the process that listens for channels. The process that takes over does that. */
import { connect, type Socket } from "node:net";
import { SwitchboardError } from "../../errors.ts";
import { peerOf } from "../native/pass-descriptors.ts";
import { descriptorOf } from "../node-internals/net.ts";
import { DescriptorChannel } from "./descriptor-channel.ts";
import { CONNECT_TIMEOUT_MS, DESCRIPTORS, MESSAGES, readExactly, TOKEN_BYTES } from "./first-bytes.ts";

/** Codes of Node that mean that no process listens: there is no file, or its process has ended. */
const NOBODY = ["ENOENT", "ECONNREFUSED"];

/**
 * Connects to the process that listens at a path. Resolves with undefined if none does. Rejects with
 * `ERR_TAKEOVER_TIMEOUT` if that process doesn't answer within `timeoutMs`, with `ERR_TAKEOVER_REFUSED` if it belongs
 * to another user or closes the connection, and as `net.Socket` does.
 */
export async function connectChannel(
  path: string,
  timeoutMs = CONNECT_TIMEOUT_MS,
): Promise<DescriptorChannel | undefined> {
  const messages = connect({ path });
  try {
    await connected(messages);
  } catch (error) {
    if (NOBODY.includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
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
    if (peer.uid !== process.geteuid?.()) throw new Error("it belongs to another user");
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
    const message = `the process that listens at ${path} can't be taken over: ${(cause as Error).message}`;
    throw new SwitchboardError("ERR_TAKEOVER_REFUSED", message, { cause });
  } finally {
    clearTimeout(timer);
  }
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("connect", resolve).once("error", reject);
    socket.once("close", () => reject(new Error("the connection was closed")));
  });
}
