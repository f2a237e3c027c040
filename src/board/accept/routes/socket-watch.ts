/** Watches the socket of an upgrade for other code that takes it. Used by the routes and the acceptor. */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { SwitchboardError } from "../../../errors.ts";
import { earlierResponses } from "../../../wire/upgrade/earlier-responses.ts";

/** Sockets whose upgrade a board is taking or has taken. */
const claimed = new WeakSet<Duplex>();

/**
 * Notices that other code took the socket of an upgrade: another `upgrade` listener of the server answered the upgrade
 * or reads the socket. Two answers on one socket would break the WebSocket of the first.
 */
export class SocketWatch {
  /** Resolves when the responses to earlier requests on the connection were sent. Undefined when there are none. */
  readonly earlierResponses: Promise<void> | undefined;
  readonly #socket: Duplex;
  readonly #wasDestroyed: boolean;
  /** Bytes written when the watch began. Undefined while responses to earlier requests are being sent. */
  #bytesWritten: number | undefined;
  #ended = false;
  #isTaken = false;

  constructor(request: IncomingMessage, socket: Duplex) {
    this.#socket = socket;
    this.#wasDestroyed = socket.destroyed;
    this.earlierResponses = earlierResponses(request)?.then(() => this.#begin());
    if (this.earlierResponses === undefined) this.#begin();
  }

  /** Takes the socket for a board. A later watch that claims the same socket finds it taken. */
  claim(): void {
    if (claimed.has(this.#socket)) this.#isTaken = true;
    claimed.add(this.#socket);
  }

  /** Call this in the turn in which the watch began: only other code can have closed the socket in that turn. */
  endTurn(): void {
    if (this.#socket.destroyed && !this.#wasDestroyed) this.#isTaken = true;
  }

  /**
   * True if other code has written to the socket, ended it or read it since the watch began, or a board claimed it
   * earlier.
   */
  get isTaken(): boolean {
    const socket = this.#socket;
    if (this.#isTaken || isRead(socket)) return true;
    if (this.#bytesWritten === undefined) return false;
    return bytesWritten(socket) !== this.#bytesWritten || (socket.writableEnded && !this.#ended);
  }

  #begin(): void {
    this.#bytesWritten = bytesWritten(this.#socket);
    // The response before may have ended the connection.
    this.#ended = this.#socket.writableEnded;
  }
}

/** The error of an upgrade whose socket other code took. */
export function takenError({ url }: IncomingMessage): SwitchboardError {
  const message = `another listener of this server took the upgrade of ${url}: give the board a path of its own, and let other listeners leave that path alone`;
  return new SwitchboardError("ERR_UPGRADE_TAKEN", message);
}

/** Node gives the socket of an upgrade to the listeners while nobody reads it. */
function isRead(socket: Duplex): boolean {
  return (socket.readableFlowing === true && socket.listenerCount("data") > 0) || socket.listenerCount("readable") > 0;
}

/** A stream that is no socket counts no bytes. */
function bytesWritten(socket: Duplex): number {
  return (socket as Partial<Socket>).bytesWritten ?? 0;
}
