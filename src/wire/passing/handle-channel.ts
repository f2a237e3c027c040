/** Messages and sockets between two processes under one supervisor, which passes them on: works without `node:ffi`. */
import { Socket } from "node:net";
import { deserialize, serialize } from "node:v8";
import { SwitchboardError } from "../../errors.ts";
import { duplicate } from "../native/pass-descriptors.ts";
import { handleOf, type TcpHandle } from "../node-internals/net.ts";
import { noop } from "../protocol/empty.ts";
import { type Channel, ChannelCut, type ChannelReceiver } from "./channel.ts";
import { type OutgoingSocket, PartQueue } from "./part-queue.ts";
import { borrowedAt, closePassed, handleAt, holdsByNumber, keepHandle } from "./passed-sockets.ts";
import { join, leave, letGo, partsOf, type Session } from "./supervised.ts";
import type { ChannelPart } from "./supervisor-messages.ts";

/**
 * A socket is sent as a bare handle, which nobody reads at either end, nor in the supervisor. Sockets are sent before
 * their message, with a number each: a socket that got lost on its way ends the channel.
 */
export class HandleChannel implements Channel {
  readonly peer: { readonly pid: number };
  readonly isSlow = true;
  readonly #session: number;
  readonly #outgoing: PartQueue;
  #sent = 0;
  #received = 0;
  /** Sockets whose message hasn't arrived. */
  readonly #arrived: number[] = [];
  #receiver: ChannelReceiver | undefined;
  /** Resolves with what went wrong when the channel has ended. */
  readonly #end = Promise.withResolvers<Error | undefined>();
  #hasEnded = false;
  /** True once the other process has closed the channel, or this one has told it so. */
  #isClosed = false;
  #isHeld = true;

  constructor({ session, pid }: Session) {
    this.peer = { pid };
    this.#session = session;
    this.#outgoing = new PartQueue(partsOf(session), (error) => this.#finish(error));
    join(session, {
      part: (part, handle) => this.#take(part, handle),
      lost: () => this.#finish(new ChannelCut("switchboard run has ended, which passed the sockets on")),
    });
  }

  start(receiver: ChannelReceiver): void {
    this.#receiver = receiver;
    void this.#end.promise.then((error) => receiver.ended(error));
  }

  send(message: unknown, descriptors: readonly number[] = []): void {
    if (this.#hasEnded) return;
    const body = serialize(message);
    for (const descriptor of descriptors) {
      this.#outgoing.push({ kind: "socket", serial: this.#sent++ }, outgoing(descriptor));
    }
    this.#outgoing.push({ kind: "message", body, sockets: descriptors.length });
  }

  close(): void {
    // After an error of this process the other one doesn't know yet.
    if (this.#hasEnded) this.#tellClosed();
    else this.#outgoing.push({ kind: "closed" });
  }

  unref(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    letGo();
  }

  destroy(): void {
    this.#tellClosed();
    this.#finish(undefined);
  }

  #tellClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    partsOf(this.#session)({ kind: "closed" }, undefined, noop);
  }

  #take(part: ChannelPart, handle: TcpHandle | undefined): void {
    try {
      switch (part.kind) {
        case "socket":
          this.#takeSocket(part.serial, handle);
          return;
        case "took":
          this.#outgoing.took();
          return;
        case "message":
          if (part.sockets > this.#arrived.length) throw lostSocket();
          this.#receiver?.received(deserialize(part.body), this.#arrived.splice(0, part.sockets));
          return;
        case "closed":
          this.#tellClosed();
          this.#finish(undefined);
          return;
        case "cut":
          throw new ChannelCut("a socket or a message got lost in switchboard run");
      }
    } catch (error) {
      this.#finish(error as Error);
    }
  }

  #takeSocket(serial: number, handle: TcpHandle | undefined): void {
    if (handle === undefined || serial !== this.#received++) {
      handle?.close();
      throw lostSocket();
    }
    if (holdsByNumber()) {
      try {
        this.#arrived.push(duplicate(handle.fd ?? -1));
      } finally {
        handle.close();
      }
    } else this.#arrived.push(keepHandle(handle));
    partsOf(this.#session)({ kind: "took" }, undefined, noop);
  }

  #finish(error: Error | undefined): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    for (const descriptor of this.#arrived.splice(0)) closePassed(descriptor);
    leave(this.#session);
    this.unref();
    // The receiver may close, or move, every socket.
    void this.#outgoing.stop().then(() => this.#end.resolve(error));
  }
}

/** Returns a socket of this process, which stays open, for the queue. */
function outgoing(descriptor: number): OutgoingSocket {
  const kept = handleAt(descriptor) ?? borrowedAt(descriptor);
  if (kept !== undefined) return { open: () => kept, close: noop, drop: noop };
  return { open: () => handleOver(duplicate(descriptor)), close: (copy) => copy.close(), drop: noop };
}

/** Returns a handle that owns a descriptor. Nobody reads it. */
function handleOver(descriptor: number): TcpHandle {
  const options = { fd: descriptor, readable: true, writable: true, manualStart: true };
  const handle = handleOf(new Socket(options));
  if (handle === null) throw lostSocket();
  return handle;
}

function lostSocket(): SwitchboardError {
  const message = "a socket got lost between the two processes: one of them may have no descriptor left";
  return new SwitchboardError("ERR_TAKEOVER_LOST", message);
}
