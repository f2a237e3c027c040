import { type Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import type { MessagePort } from "node:worker_threads";
import { type ErrorReport, reportError, reviveError, SwitchboardError } from "../../errors.ts";
import { lastMessages } from "./last-messages.ts";
import { TcpTransport } from "./tcp-transport.ts";
import type { Transport } from "./transport.ts";

/** One socket on its way, with what its new owner must know of it. */
interface HandoffMessage<Envelope> {
  readonly serial: number;
  readonly socket: Socket;
  readonly head: Uint8Array;
  readonly envelope: Envelope;
}

/** Something that the receiving end of unread sockets is told, before every socket that is sent later. */
interface NoticeMessage<Notice> {
  readonly notice: Notice;
}

/** A listening server that is the receiver's from now on. */
interface ServerMessage<Envelope> {
  readonly server: Server;
  readonly envelope: Envelope;
}

/** The new owner's answer. An error means that it closed the socket. */
interface HandoffAnswer {
  readonly serial: number;
  readonly error: ErrorReport | undefined;
}

const NOTHING = new Uint8Array(0);

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
export class HandoffSender<Envelope, Notice = never> {
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
    return this.#post(socket, envelope, () => {
      const bytes = drain(socket, head);
      makeTransferable(socket);
      return bytes;
    });
  }

  /** Moves a socket of which nothing was ever read (`createUnreadServer`), to an end that does `receiveUnread`. */
  async sendUnread(socket: Socket, envelope: Envelope): Promise<HandoffResult> {
    return this.#post(socket, envelope, () => NOTHING);
  }

  /** Tells the end that does `receiveUnread` something, before every socket that is sent later. */
  tell(notice: Notice): void {
    const message: NoticeMessage<Notice> = { notice };
    this.#port.postMessage(message);
  }

  /** Gives a listening server away, to an end that does `receiveUnread`: it accepts there from now on, and closes with that thread. */
  sendServer(server: Server, envelope: Envelope): void {
    const message: ServerMessage<Envelope> = { server, envelope };
    this.#port.postMessage(message, [server as unknown as MessagePort]);
  }

  /** For when the shard has ended. */
  close(): void {
    for (const answer of lastMessages<HandoffAnswer>(this.#port)) this.#settle(answer);
    this.#port.close();
  }

  /** @param prepare makes the socket ready to move, and gives the bytes that go with it */
  #post(socket: Socket, envelope: Envelope, prepare: () => Uint8Array): Promise<HandoffResult> | HandoffResult {
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
      const message: HandoffMessage<Envelope> = { serial, socket, head: prepare(), envelope };
      this.#port.postMessage(message, [socket as unknown as MessagePort]);
    } catch (thrown) {
      socket.destroy();
      return { outcome: "failed", error: thrown as Error };
    }
    return new Promise((resolve) => this.#pending.set(serial, resolve));
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
    adoptAndAnswer(port, serial, transport, () => adopt(transport, envelope));
  });
}

/** The new owner of unread sockets. */
export interface UnreadReceiver<Envelope, Notice> {
  told(notice: Notice): void;
  /** A listening server is ours now. */
  adoptServer(server: Server, envelope: Envelope): void;
  /** Takes the socket over, or throws: then it is closed. */
  adopt(socket: Socket, envelope: Envelope): void;
}

/** The receiving end of `sendUnread`, `sendServer` and `tell`, in the shard: sockets as they were accepted. */
export function receiveUnread<Envelope, Notice>(port: MessagePort, receiver: UnreadReceiver<Envelope, Notice>): void {
  port.on("message", (message: HandoffMessage<Envelope> | NoticeMessage<Notice> | ServerMessage<Envelope>) => {
    if ("notice" in message) {
      receiver.told(message.notice);
      return;
    }
    if ("server" in message) {
      receiver.adoptServer(message.server, message.envelope);
      return;
    }
    const { serial, socket, envelope } = message;
    adoptAndAnswer(port, serial, socket, () => receiver.adopt(socket, envelope));
  });
}

function adoptAndAnswer(port: MessagePort, serial: number, owned: { destroy(): void }, adopt: () => void): void {
  let error: ErrorReport | undefined;
  try {
    adopt();
  } catch (thrown) {
    owned.destroy();
    error = reportError(thrown);
  }
  const answer: HandoffAnswer = { serial, error };
  port.postMessage(answer);
}

/** `head` and all that Node has read of the stream since, in memory of its own: posting a view would copy what lies around it. */
export function drain(socket: Socket, head: Buffer): Uint8Array<ArrayBuffer> {
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
export function flushed(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    socket.write("", () => resolve());
    socket.once("close", resolve);
  });
}

export function lost(): SwitchboardError {
  return new SwitchboardError("ERR_SHARD_LOST", "the shard ended before it took the socket over");
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
