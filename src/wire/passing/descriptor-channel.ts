/**
 * Messages and descriptors between two processes. A process that takes over and the one before it have one channel
 * (`channel-server.ts`, `connect-channel.ts`).
 */
import type { Socket } from "node:net";
import { SwitchboardError } from "../../errors.ts";
import {
  MAX_DESCRIPTORS_IN_MESSAGE,
  type PeerProcess,
  receiveDescriptors,
  sendDescriptors,
} from "../native/pass-descriptors.ts";
import { descriptorOf } from "../node-internals/net.ts";
import type { Channel, ChannelReceiver } from "./channel.ts";
import { encodeFrame, FrameReader } from "./frames.ts";

/**
 * A channel has two Unix sockets: one for messages in both directions, which Node reads and writes, and one for
 * descriptors, towards the process that takes over, which only `sendmsg` and `recvmsg` touch: Node would read it with
 * `read`, which drops descriptors. Descriptors are sent before their message, so they are there when it arrives, and
 * nobody has to wait for them.
 */
export class DescriptorChannel implements Channel {
  /** The process at the other end. */
  readonly peer: PeerProcess;
  readonly isSlow = false;
  readonly #messages: Socket;
  readonly #descriptors: Socket;
  readonly #frames = new FrameReader();
  #receiver: ChannelReceiver | undefined;

  constructor(messages: Socket, descriptors: Socket, peer: PeerProcess) {
    this.#messages = messages;
    this.#descriptors = descriptors;
    this.peer = peer;
  }

  /** Begins to receive. */
  start(receiver: ChannelReceiver): void {
    this.#receiver = receiver;
    const messages = this.#messages;
    messages.on("data", (chunk: Buffer) => this.#read(chunk));
    // A process that was killed with something unread ends with ECONNRESET: that is an end like any other.
    messages.on("error", () => {});
    messages.on("close", () => this.#end(undefined));
    this.#descriptors.on("error", () => {});
    if (messages.closed) queueMicrotask(() => this.#end(undefined));
    else messages.resume();
  }

  /**
   * Sends a message, with copies of descriptors. Does nothing after the end. Throws `ERR_SYSTEM_CALL` if the
   * descriptors can't be sent, and a `DataCloneError`: then nothing was sent.
   */
  send(message: unknown, descriptors: readonly number[] = []): void {
    if (this.#messages.destroyed) return;
    const frame = encodeFrame(message, descriptors.length);
    for (let from = 0; from < descriptors.length; from += MAX_DESCRIPTORS_IN_MESSAGE) {
      sendDescriptors(descriptorOf(this.#descriptors), descriptors.slice(from, from + MAX_DESCRIPTORS_IN_MESSAGE));
    }
    this.#messages.cork();
    for (const bytes of frame) this.#messages.write(bytes);
    this.#messages.uncork();
  }

  /** Closes the channel when all messages have left. `ended` is called when the other process has closed it, too. */
  close(): void {
    this.#messages.end();
  }

  /** Lets the process end while the channel is open. */
  unref(): void {
    this.#messages.unref();
    this.#descriptors.unref();
  }

  /** Closes the channel at once. */
  destroy(): void {
    this.#messages.destroy();
  }

  #read(chunk: Buffer): void {
    try {
      this.#frames.push(chunk);
      for (let frame = this.#frames.next(); frame !== undefined; frame = this.#frames.next()) {
        if (this.#receiver === undefined) return;
        this.#receiver.received(frame.message, this.#take(frame.descriptors));
      }
    } catch (error) {
      this.#end(error as Error);
    }
  }

  /** Takes the descriptors of a message, which were sent before it. */
  #take(count: number): readonly number[] {
    const taken: number[] = [];
    while (taken.length < count) {
      const some = receiveDescriptors(descriptorOf(this.#descriptors));
      if (some.length === 0) throw new SwitchboardError("ERR_TAKEOVER_LOST", "the other process sent no descriptors");
      taken.push(...some);
    }
    return taken;
  }

  #end(error: Error | undefined): void {
    const receiver = this.#receiver;
    this.#receiver = undefined;
    this.#messages.destroy();
    this.#descriptors.destroy();
    receiver?.ended(error);
  }
}
