/** Moving live sockets from one thread to another: the sending end in the main thread, the receiving end in a shard. */
import { closeSync, openSync } from "node:fs";
import { type Server, Socket } from "node:net";
import { devNull } from "node:os";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import type { MessagePort } from "node:worker_threads";
import { type ErrorReport, reportError, SwitchboardError } from "../../errors.ts";
import {
  Decisions,
  HANDOFF_TIMEOUT_MS,
  type HandoffEnd,
  type HandoffResult,
  lost,
  PendingHandoffs,
} from "./pending-handoffs.ts";
import { queuedMessages } from "./queued-messages.ts";
import { type HandleOwner, TcpTransport } from "./tcp-transport.ts";
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
export interface HandoffAnswer {
  readonly serial: number;
  readonly error: ErrorReport | undefined;
}

const NOTHING = new Uint8Array(0);

/**
 * The sending end of one shard's handoff port. From the call of `send` on the socket is the handoff's: whatever
 * happens, it ends up in the shard, closed, or given back. The branches, and who closes:
 *
 * 1. the peer is gone already: nothing to close but the dead object, done here;
 * 2. the socket can't be posted (wrong state, envelope that can't be cloned): closed here;
 * 3. the operating system has no descriptor left for the move: given back to the caller, who closes it;
 * 4. the port is closed or the shard dies while the socket is queued: closed by Node with the port's queue;
 * 5. the shard doesn't look at it until the deadline: failed here, and closed by the shard, when that works again, or with 4;
 * 6. the shard can't adopt it: closed there, reported back.
 */
export class HandoffSender<Envelope, Notice = never> {
  readonly #port: MessagePort;
  readonly #pending: PendingHandoffs;
  #closed = false;

  /** @param timeoutMs how long the shard may take to answer for a socket */
  constructor({ port, decisions }: HandoffEnd, timeoutMs = HANDOFF_TIMEOUT_MS) {
    this.#port = port;
    this.#pending = new PendingHandoffs(decisions, timeoutMs);
    port.on("message", ({ serial, error }: HandoffAnswer) => this.#pending.settle(serial, error));
    port.on("close", () => {
      this.#closed = true;
      this.#pending.lose();
    });
  }

  /** Sockets sent that the shard hasn't answered for. */
  get inFlight(): number {
    return this.#pending.count;
  }

  /** Whether the shard should be sent nothing now: it doesn't answer, or has too much to answer for. */
  get isFull(): boolean {
    return this.#pending.isFull;
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
      const bytes = takeBuffered(socket, head);
      makeTransferable(socket);
      return bytes;
    });
  }

  /** Moves a socket of which nothing was ever read (`createRawSocketServer`), to an end that does `receiveRawSockets`. */
  async sendRawSocket(socket: Socket, envelope: Envelope): Promise<HandoffResult> {
    return this.#post(socket, envelope, () => NOTHING);
  }

  /** Tells the end that does `receiveRawSockets` something, before every socket that is sent later. */
  tell(notice: Notice): void {
    const message: NoticeMessage<Notice> = { notice };
    this.#port.postMessage(message);
  }

  /**
   * Gives a listening server away, to an end that does `receiveRawSockets`: it accepts there from now on, and closes with that thread. Throws
   * `ERR_SOCKET_STAYED` when the operating system has no descriptor left for the move; the server is closed then.
   */
  sendServer(server: Server, envelope: Envelope): void {
    const message: ServerMessage<Envelope> = { server, envelope };
    const handle = handleOf(server);
    this.#port.postMessage(message, [server as unknown as MessagePort]);
    if (!isOpen(handle)) return;
    handle.close();
    throw stayed();
  }

  /** For when the shard has ended. */
  close(): void {
    for (const { serial, error } of queuedMessages<HandoffAnswer>(this.#port)) this.#pending.settle(serial, error);
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
    const handle = handleOf(socket);
    try {
      const serial = this.#pending.nextSerial;
      const message: HandoffMessage<Envelope> = { serial, socket, head: prepare(), envelope };
      this.#port.postMessage(message, [socket as unknown as MessagePort]);
    } catch (thrown) {
      if (isOpen(handle) && handleOf(socket) === null) handle.close();
      socket.destroy();
      return { outcome: "failed", error: thrown as Error };
    }
    if (isOpen(handle)) return { outcome: "stayed", socket: reopen(handle), error: stayed() };
    return this.#pending.add((error) => ({ outcome: "failed", error }));
  }
}

/** What Node has below a socket or a server; its types don't show it. */
interface TcpHandle {
  readonly fd: number;
  close(): void;
}

function handleOf(owner: Socket | Server): TcpHandle | null {
  return (owner as unknown as HandleOwner)._handle as TcpHandle | null;
}

/**
 * Whether a handle is still this thread's. A post duplicates the descriptor and closes the handle; when it can't duplicate it (EMFILE, ENFILE),
 * it posts nothing, throws nothing, and leaves the handle open and without an owner (Node 24.20 to 26.10).
 */
function isOpen(handle: TcpHandle | null): handle is TcpHandle {
  return handle !== null && handle.fd >= 0;
}

/** A socket over a handle whose own socket gave it up for a post. */
function reopen(handle: TcpHandle): Socket {
  const options: object = { handle, allowHalfOpen: true, manualStart: true };
  return new Socket(options);
}

/** Asks the system for the reason, which Node doesn't tell: another descriptor most often fails as the move did. */
function stayed(): SwitchboardError {
  let cause: unknown;
  try {
    closeSync(openSync(devNull, "r"));
  } catch (thrown) {
    cause = thrown;
  }
  const { code = "no reason given" } = (cause ?? {}) as NodeJS.ErrnoException;
  const message = `the system has no descriptor left to move a socket to its shard (${code}): raise the limit of open files`;
  return new SwitchboardError("ERR_SOCKET_STAYED", message, { cause });
}

/**
 * The receiving end, in the shard. `adopt` takes the transport over, or throws: then the socket is closed here.
 */
export function receiveHandoffs<Envelope>(
  end: HandoffEnd,
  adopt: (transport: Transport, envelope: Envelope) => void,
): void {
  const arrivals = new Arrivals(end, (answer) => end.port.postMessage(answer));
  end.port.on("message", ({ serial, socket, head, envelope }: HandoffMessage<Envelope>) => {
    const transport = new TcpTransport(socket, Buffer.from(head.buffer, head.byteOffset, head.byteLength));
    arrivals.adopt(serial, transport, () => adopt(transport, envelope));
  });
}

/** The new owner of unread sockets. */
export interface RawSocketReceiver<Envelope, Notice> {
  settingsReceived(notice: Notice): void;
  /** A listening server is ours now. */
  adoptServer(server: Server, envelope: Envelope): void;
  /** Takes the socket over, or throws: then it is closed. */
  adopt(socket: Socket, envelope: Envelope): void;
}

/** The receiving end of `sendRawSocket`, `sendServer` and `tell`, in the shard: sockets as they were accepted. */
export function receiveRawSockets<Envelope, Notice>(
  end: HandoffEnd,
  receiver: RawSocketReceiver<Envelope, Notice>,
): void {
  const arrivals = new Arrivals(end, (answer) => end.port.postMessage(answer));
  end.port.on("message", (message: HandoffMessage<Envelope> | NoticeMessage<Notice> | ServerMessage<Envelope>) => {
    if ("notice" in message) {
      receiver.settingsReceived(message.notice);
      return;
    }
    if ("server" in message) {
      receiver.adoptServer(message.server, message.envelope);
      return;
    }
    const { serial, socket, envelope } = message;
    arrivals.adopt(serial, socket, () => receiver.adopt(socket, envelope));
  });
}

/** The shard's part in the handoffs of one channel: it takes each that its sender hasn't given up, and answers every one. */
export class Arrivals {
  readonly #decisions: Decisions;
  readonly #answer: (answer: HandoffAnswer) => void;
  #nextSerial = 0;

  constructor({ port, decisions }: HandoffEnd, answer: (answer: HandoffAnswer) => void) {
    this.#decisions = new Decisions(decisions);
    this.#answer = answer;
    // Node closes a socket whose message it can't read. Messages come in order, so its serial is known.
    port.on("messageerror", (error: Error) => {
      this.adopt(this.#nextSerial, undefined, () => {
        throw error;
      });
    });
  }

  /** @param owned closed when `adopt` throws, and when the sender has given the handoff up */
  adopt(serial: number, owned: { destroy(): void } | undefined, adopt: () => void): void {
    this.#nextSerial = serial + 1;
    let error: ErrorReport | undefined;
    try {
      if (!this.#decisions.claim(serial)) throw new SwitchboardError("ERR_HANDOFF_TIMEOUT", "the sender gave it up");
      adopt();
    } catch (thrown) {
      owned?.destroy();
      error = reportError(thrown);
    }
    this.#answer({ serial, error });
  }
}

/** `head` and all that Node has read of the stream since, in memory of its own: posting a view would copy what lies around it. */
export function takeBuffered(socket: Socket, head: Buffer): Uint8Array<ArrayBuffer> {
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

/** Whether this Node can move sockets between threads at all: 24.20 and newer in its line, 26.6 and newer. */
export function canMoveSockets(nodeVersion: string): boolean {
  const [major = 0, minor = 0] = nodeVersion.split(".").map(Number);
  return major > 26 || (major === 26 && minor >= 6) || (major === 24 && minor >= 20);
}

/** Whether a socket can be moved between threads: TCP can, TLS and Unix sockets can't. */
export function isMovable(socket: Duplex): socket is Socket {
  return socket instanceof Socket && !(socket instanceof TLSSocket) && "port" in socket.address();
}
