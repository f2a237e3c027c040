import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import type { MessagePort } from "node:worker_threads";
import { type ErrorReport, reportError, reviveError, SwitchboardError } from "../errors.ts";
import { TcpTransport } from "./tcp-transport.ts";
import type { Transport } from "./transport.ts";

/** One socket on its way, with what its new owner must know of it. */
interface HandoffMessage<Envelope> {
  readonly serial: number;
  readonly socket: Socket;
  readonly head: Uint8Array;
  readonly envelope: Envelope;
}

/** The new owner's answer. An error means that it closed the socket. */
interface HandoffAnswer {
  readonly serial: number;
  readonly error: ErrorReport | undefined;
}

export type HandoffResult =
  | { readonly outcome: "adopted" }
  /** The peer was gone before the socket could be moved. */
  | { readonly outcome: "peerGone" }
  /** The socket couldn't be moved, the shard died with it or refused it; it is closed. */
  | { readonly outcome: "failed"; readonly error: Error };

/**
 * The sending end of one shard's handoff port. From the call of `send` on the socket is the handoff's: whatever
 * happens, it ends up in the shard or closed. The branches, and who closes:
 *
 * 1. the peer is gone already: nothing to close but the dead object, done here;
 * 2. the socket can't be posted (wrong state, envelope that can't be cloned): closed here;
 * 3. the port is closed or the shard dies while the socket is queued: closed by Node with the port's queue;
 * 4. the shard can't adopt it: closed there, reported back.
 */
export class HandoffSender<Envelope> {
  readonly #port: MessagePort;
  readonly #pending = new Map<number, (result: HandoffResult) => void>();
  #serial = 0;
  #closed = false;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on("message", (answer: HandoffAnswer) => this.#settle(answer));
    port.on("close", () => this.#lose());
  }

  /** Sockets sent that the shard hasn't answered for. */
  get inFlight(): number {
    return this.#pending.size;
  }

  /**
   * Moves a socket, once everything written to it has been flushed.
   *
   * @param head bytes of the stream that were read before, such as the `head` of an `upgrade` event
   */
  async send(socket: Socket, head: Buffer, envelope: Envelope): Promise<HandoffResult> {
    // An answer to an earlier request on the same connection may still be leaving.
    if (socket.writableLength > 0) await flushed(socket);
    if (socket.destroyed || !socket.writable) {
      socket.destroy();
      return { outcome: "peerGone" };
    }
    if (this.#closed) {
      socket.destroy();
      return { outcome: "failed", error: lost() };
    }
    const serial = this.#serial++;
    try {
      const message: HandoffMessage<Envelope> = { serial, socket, head: drain(socket, head), envelope };
      makeTransferable(socket);
      this.#port.postMessage(message, [socket as unknown as MessagePort]);
    } catch (thrown) {
      socket.destroy();
      return { outcome: "failed", error: thrown as Error };
    }
    return new Promise((resolve) => this.#pending.set(serial, resolve));
  }

  /** For when the shard has ended. */
  close(): void {
    this.#port.close();
  }

  #settle({ serial, error }: HandoffAnswer): void {
    const resolve = this.#pending.get(serial);
    this.#pending.delete(serial);
    resolve?.(error === undefined ? { outcome: "adopted" } : { outcome: "failed", error: reviveError(error) });
  }

  #lose(): void {
    this.#closed = true;
    for (const resolve of this.#pending.values()) resolve({ outcome: "failed", error: lost() });
    this.#pending.clear();
  }
}

/**
 * The receiving end, in the shard. `adopt` takes the transport over, or throws: then the socket is closed here.
 */
export function receiveHandoffs<Envelope>(
  port: MessagePort,
  adopt: (transport: Transport, envelope: Envelope) => void,
): void {
  port.on("message", ({ serial, socket, head, envelope }: HandoffMessage<Envelope>) => {
    const transport = new TcpTransport(socket, Buffer.from(head.buffer, head.byteOffset, head.byteLength));
    let error: ErrorReport | undefined;
    try {
      adopt(transport, envelope);
    } catch (thrown) {
      transport.destroy();
      error = reportError(thrown);
    }
    const answer: HandoffAnswer = { serial, error };
    port.postMessage(answer);
  });
}

/** `head` and all that Node has read of the stream since, in memory of its own: posting a view would copy what lies around it. */
function drain(socket: Socket, head: Buffer): Uint8Array {
  const chunks = [head];
  for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) chunks.push(chunk as Buffer);
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/**
 * Node moves only sockets on which nothing was ever read or written, lest bytes be left behind. Here every byte is
 * accounted for (drained, flushed), so the two counters that it asks may say so.
 */
function makeTransferable(socket: Socket): void {
  Object.defineProperty(socket, "bytesRead", { value: 0 });
  Object.defineProperty(socket, "bytesWritten", { value: 0 });
}

/** Resolves when nothing written waits any more, or the socket is closed. */
function flushed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.write("", () => resolve());
    socket.once("close", resolve);
  });
}

export function lost(): SwitchboardError {
  return new SwitchboardError("transport", "ERR_SHARD_LOST", "the shard ended before it took the socket over");
}

/** Whether this Node can move sockets between threads at all: 24.20 and newer in its line, 26.6 and newer. */
export function canMoveSockets(nodeVersion: string): boolean {
  const [major = 0, minor = 0] = nodeVersion.split(".").map(Number);
  return major > 26 || (major === 26 && minor >= 6) || (major === 24 && minor >= 20);
}

/** Whether a socket can be moved between threads: TCP can, TLS and Unix sockets can't. */
export function isMovable(socket: Duplex): socket is Socket {
  return socket instanceof Socket && !(socket instanceof TLSSocket) && "port" in socket.address();
}
