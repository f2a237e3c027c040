/** Moving live sockets from one thread to another: the sending end in the main thread, the receiving end in a shard. */
import { closeSync, openSync } from "node:fs";
import { type Server, Socket } from "node:net";
import { devNull } from "node:os";
import type { Duplex } from "node:stream";
import type { MessagePort } from "node:worker_threads";
import { type ErrorReport, reportError, SwitchboardError } from "../../errors.ts";
import { handleOf, makeTransferable, optionsOver, type TcpHandle, transferable } from "../node-internals/net.ts";
import { EMPTY } from "../protocol/empty.ts";
import type { HandoffAnswer, NoticeMessage, RawSocketMessage, ServerMessage, SocketMessage } from "./messages.ts";
import {
  Decisions,
  HANDOFF_TIMEOUT_MS,
  type HandoffEnd,
  type HandoffResult,
  lost,
  PendingHandoffs,
} from "./pending-handoffs.ts";
import { queuedMessages } from "./queued-messages.ts";
import { isTlsSocket, takeBuffered } from "./taken-socket.ts";
import { nodeSockets, type TcpSockets } from "./tcp-sockets.ts";
import type { Transport } from "./transport.ts";

const NOTHING = new Uint8Array(0);

/**
 * The sending end of one shard's handoff port. From the call of `send` on the socket belongs to the handoff: it ends up
 * in the shard, closed, or back with the caller. Each branch says who closes:
 *
 * - The peer is already gone: the dead object is closed here.
 * - The socket can't be posted (wrong state, envelope that can't be cloned): closed here.
 * - The operating system has no descriptor for the move: back with the caller, who closes it.
 * - The port is closed, or the shard dies while the socket is queued: Node closes it with the port's queue.
 * - The shard doesn't look at it until the deadline: counted as failed here; the shard closes it when it works again,
 *   or Node with the port.
 * - The shard can't adopt it: closed there, and reported back.
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

  /** Number of sockets that the shard hasn't answered for. */
  get inFlight(): number {
    return this.#pending.count;
  }

  /** True if the shard should get nothing now: it doesn't answer, or has too much to answer for. */
  get isFull(): boolean {
    return this.#pending.isFull;
  }

  /**
   * Moves a socket, once everything written to it has been flushed.
   *
   * @param head bytes of the stream that were read before, such as the `head` of an `upgrade` event
   */
  async send(socket: Socket, head: Buffer, envelope: Envelope): Promise<HandoffResult> {
    // The answer to an earlier request on the same connection may still be leaving.
    if (socket.writableLength > 0) await flushed(socket);
    return this.#post(socket, envelope, () => {
      const bytes = takeBuffered(socket, head);
      makeTransferable(socket);
      return bytes;
    });
  }

  /**
   * Moves a socket of which nothing was read (`createRawSocketServer`) to an end that uses `receiveRawSockets`. Bytes
   * that were put back (`unshift`), because another process had read them, go along.
   */
  async sendRawSocket(socket: Socket, envelope: Envelope): Promise<HandoffResult> {
    return this.#post(socket, envelope, () => (socket.readableLength === 0 ? NOTHING : takeBuffered(socket, EMPTY)));
  }

  /** Sends a notice to an end that uses `receiveRawSockets`, before every socket that is sent later. */
  tell(notice: Notice): void {
    const message: NoticeMessage<Notice> = { kind: "notice", notice };
    this.#port.postMessage(message);
  }

  /**
   * Moves a listening server to an end that uses `receiveRawSockets`. The server accepts there from now on, and closes
   * with that thread. Throws `ERR_SOCKET_STAYED` if the operating system has no descriptor for the move, and
   * `ERR_NODE_INTERNALS`; the server is then closed.
   */
  sendServer(server: Server, envelope: Envelope): void {
    const message: ServerMessage<Envelope> = { kind: "server", server, envelope };
    let handle: TcpHandle | null;
    try {
      handle = handleOf(server);
      this.#port.postMessage(message, [transferable(server)]);
    } catch (error) {
      server.close();
      throw error;
    }
    if (!isOpen(handle)) return;
    handle.close();
    throw stayed();
  }

  /** Call it when the shard has ended. */
  close(): void {
    for (const { serial, error } of queuedMessages<HandoffAnswer>(this.#port)) this.#pending.settle(serial, error);
    this.#port.close();
  }

  /** @param prepare makes the socket ready to move, and returns the bytes that go with it */
  #post(socket: Socket, envelope: Envelope, prepare: () => Uint8Array): Promise<HandoffResult> | HandoffResult {
    if (socket.destroyed || !socket.writable) {
      socket.destroy();
      return { outcome: "peerGone" };
    }
    if (this.#closed) {
      socket.destroy();
      return { outcome: "failed", error: lost() };
    }
    let handle: TcpHandle | null = null;
    try {
      handle = handleOf(socket);
      const serial = this.#pending.nextSerial;
      const message: SocketMessage<Envelope> = { kind: "socket", serial, socket, head: prepare(), envelope };
      this.#port.postMessage(message, [transferable(socket)]);
    } catch (thrown) {
      if (isOpen(handle) && handleOf(socket) === null) handle.close();
      socket.destroy();
      return { outcome: "failed", error: thrown as Error };
    }
    if (isOpen(handle)) return { outcome: "stayed", socket: reopen(handle), error: stayed() };
    return this.#pending.add((error) => ({ outcome: "failed", error }));
  }
}

/**
 * True if this thread still has the handle. A post duplicates the descriptor and closes the handle. If the descriptor
 * can't be duplicated (EMFILE, ENFILE), Node posts nothing, throws nothing, and leaves the handle open without an owner
 * (Node 24.20 to 26.10).
 */
function isOpen(handle: TcpHandle | null): handle is TcpHandle {
  return handle?.fd !== undefined && handle.fd >= 0;
}

/** Returns a new socket over a handle whose socket gave it up for a post. */
function reopen(handle: TcpHandle): Socket {
  return new Socket(optionsOver(handle, { allowHalfOpen: true }));
}

/**
 * Returns the error for a socket that stayed. Node doesn't tell the reason; opening another descriptor usually fails
 * for the same one.
 */
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

/** Does the work at once or later, in the order of the calls: a shard doesn't adopt a crowd of sockets in one turn. */
export type Pace = (work: () => void) => void;

const atOnce: Pace = (work) => work();

/**
 * The receiving end, in the shard. `adopt` takes over the transport, or throws: then the socket is closed here.
 *
 * @param pace default: each socket is adopted as it arrives
 */
export function receiveHandoffs<Envelope>(
  end: HandoffEnd,
  adopt: (transport: Transport, envelope: Envelope) => void,
  pace: Pace = atOnce,
  sockets: TcpSockets = nodeSockets,
): void {
  const arrivals = new Arrivals(end, (answer) => end.port.postMessage(answer), pace);
  end.port.on("message", ({ serial, socket, head, envelope }: SocketMessage<Envelope>) => {
    arrivals.adopt(serial, socket, () => {
      const transport = sockets.take(socket, bufferOf(head), false);
      try {
        adopt(transport, envelope);
      } catch (error) {
        transport.destroy();
        throw error;
      }
    });
  });
}

/** The new owner of raw sockets. */
export interface RawSocketReceiver<Envelope, Notice> {
  settingsReceived(notice: Notice): void;
  /** A listening server has moved here. */
  adoptServer(server: Server, envelope: Envelope): void;
  /**
   * Takes over the socket, or throws: then the socket is closed.
   *
   * @param head bytes that were read before; almost always none
   */
  adopt(socket: Socket, envelope: Envelope, head: Buffer): void;
}

/**
 * The receiving end of `sendRawSocket`, `sendServer` and `tell`, in the shard.
 *
 * @param pace default: each socket is adopted as it arrives
 */
export function receiveRawSockets<Envelope, Notice>(
  end: HandoffEnd,
  receiver: RawSocketReceiver<Envelope, Notice>,
  pace: Pace = atOnce,
): void {
  const arrivals = new Arrivals(end, (answer) => end.port.postMessage(answer), pace);
  end.port.on("message", (message: RawSocketMessage<Envelope, Notice>) => {
    switch (message.kind) {
      case "notice":
        receiver.settingsReceived(message.notice);
        return;
      case "server":
        receiver.adoptServer(message.server, message.envelope);
        return;
      case "socket": {
        const { serial, socket, envelope, head } = message;
        arrivals.adopt(serial, socket, () => receiver.adopt(socket, envelope, bufferOf(head)));
      }
    }
  });
}

/**
 * The shard's part in the handoffs of one channel: takes every socket that its sender hasn't given up, and answers each
 * one.
 */
export class Arrivals {
  readonly #decisions: Decisions;
  readonly #answer: (answer: HandoffAnswer) => void;
  readonly #pace: Pace;
  #nextSerial = 0;

  constructor({ port, decisions }: HandoffEnd, answer: (answer: HandoffAnswer) => void, pace: Pace = atOnce) {
    this.#decisions = new Decisions(decisions);
    this.#answer = answer;
    this.#pace = pace;
    // Node closes a socket whose message it can't read. Messages arrive in order, so the serial is known.
    port.on("messageerror", (error: Error) => {
      this.adopt(this.#nextSerial, undefined, () => {
        throw error;
      });
    });
  }

  /**
   * Takes a socket now, so that its sender doesn't give it up any more, and adopts it when the pace allows.
   *
   * @param owned closed if `adopt` throws, or if the sender has given up the handoff
   */
  adopt(serial: number, owned: { destroy(): void } | undefined, adopt: () => void): void {
    this.#nextSerial = serial + 1;
    if (this.#decisions.claim(serial)) {
      this.#pace(() => this.#settle(serial, owned, adopt));
      return;
    }
    this.#settle(serial, owned, () => {
      throw new SwitchboardError("ERR_HANDOFF_TIMEOUT", "the sender gave it up");
    });
  }

  #settle(serial: number, owned: { destroy(): void } | undefined, adopt: () => void): void {
    let error: ErrorReport | undefined;
    try {
      adopt();
    } catch (thrown) {
      owned?.destroy();
      error = reportError(thrown);
    }
    this.#answer({ kind: "answer", serial, error });
  }
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Resolves when everything written has left, or when the socket is closed. */
export function flushed(socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    socket.write("", () => resolve());
    socket.once("close", resolve);
  });
}

/** True if this Node can move sockets between threads: 24.20 and newer in its line, 26.6 and newer. */
export function canMoveSockets(nodeVersion: string): boolean {
  const [major = 0, minor = 0] = nodeVersion.split(".").map(Number);
  return major > 26 || (major === 26 && minor >= 6) || (major === 24 && minor >= 20);
}

/** True if a socket can be moved between threads: TCP sockets can; TLS and Unix sockets can't. */
export function isMovable(socket: Duplex): socket is Socket {
  return socket instanceof Socket && !isTlsSocket(socket) && "port" in socket.address();
}
