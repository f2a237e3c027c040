/**
 * Parts of a channel on their way to one process over Node's IPC, in order. A process that sends sockets has one for
 * its supervisor, and the supervisor has one for each end of a session.
 */
import type { TcpHandle } from "../node-internals/net.ts";
import { noop } from "../protocol/empty.ts";
import { ChannelCut } from "./channel.ts";
import type { ChannelPart } from "./supervisor-messages.ts";

/** A socket that is to be sent. */
export interface OutgoingSocket {
  /** Returns the handle when its turn has come. */
  open(): TcpHandle;
  /** Closes the handle, unless the owner keeps the socket: the other process has the socket, or won't get it. */
  close(handle: TcpHandle): void;
  /** The socket's turn won't come. */
  drop(): void;
}

/** The receiver counts as hanging after so many parts of the time, each without a sign that it has the socket. */
const STEPS = 5;
const STEP_MS = 1_000;

/** Sends a part. `sent` is called when the system has the part, or with an error when it won't have it. */
export type PostPart = (part: ChannelPart, handle: TcpHandle | undefined, sent: (error: Error | null) => void) => void;

interface Waiting {
  readonly part: ChannelPart;
  readonly socket: OutgoingSocket | undefined;
  /** The part has left the queue. */
  readonly left: () => void;
}

/**
 * Only one socket is under way: Node sends one at a time as well, and keeps everything behind it in a queue of its own,
 * whose handles nobody may close or move. Parts behind a socket wait here until the receiver has the socket.
 */
export class PartQueue {
  readonly #post: PostPart;
  readonly #failed: (error: Error) => void;
  #waiting: Waiting[] = [];
  /** Closes the handle of the socket under way. */
  #closeHandle: (() => void) | undefined;
  /** True while the system hasn't taken the handle under way. Then the handle may be neither closed nor moved. */
  #isWriting = false;
  #silentSteps = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped: (() => void) | undefined;

  /** @param failed told once that a part can't be sent, or that the receiver hasn't taken a socket within 5 s */
  constructor(post: PostPart, failed: (error: Error) => void) {
    this.#post = post;
    this.#failed = failed;
  }

  /** Number of parts that wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Sends a part behind all others. */
  push(part: ChannelPart, socket?: OutgoingSocket, left: () => void = noop): void {
    if (this.#stopped !== undefined) {
      socket?.drop();
      return;
    }
    this.#waiting.push({ part, socket, left });
    this.#pump();
  }

  /** The receiver has the socket under way. */
  took(): void {
    this.#closeUnderWay();
    this.#pump();
  }

  /** Sends nothing more. Resolves when the system has let go of the socket under way: soon, as the receiver reads. */
  stop(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#stopped;
    this.#stopped = () => {
      before?.();
      resolve();
    };
    for (const { socket } of this.#waiting.splice(0)) socket?.drop();
    if (!this.#isWriting) this.#end();
    return promise;
  }

  #pump(): void {
    while (this.#closeHandle === undefined && this.#stopped === undefined) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const { part, socket, left } = next;
      try {
        if (socket === undefined) this.#post(part, undefined, noop);
        else this.#sendSocket(part, socket);
      } catch (error) {
        this.#failed(error as Error);
        return;
      }
      left();
    }
  }

  #sendSocket(part: ChannelPart, socket: OutgoingSocket): void {
    const handle = socket.open();
    this.#closeHandle = () => socket.close(handle);
    this.#isWriting = true;
    this.#silentSteps = 0;
    this.#timer = setInterval(() => this.#tick(), STEP_MS);
    this.#post(part, handle, (error) => {
      this.#isWriting = false;
      if (this.#stopped !== undefined) this.#end();
      else if (error !== null) this.#failed(error);
    });
  }

  #tick(): void {
    if (++this.#silentSteps < STEPS) return;
    clearInterval(this.#timer);
    if (this.#stopped === undefined) {
      this.#failed(new ChannelCut(`a process didn't take a socket within ${STEPS * STEP_MS} ms`));
    }
  }

  #closeUnderWay(): void {
    clearInterval(this.#timer);
    this.#closeHandle?.();
    this.#closeHandle = undefined;
  }

  #end(): void {
    this.#closeUnderWay();
    this.#stopped?.();
  }
}
