import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { earlierResponses } from "../../../wire/upgrade/earlier-responses.ts";

/** Sockets whose upgrade a board is taking or has taken. */
const claimed = new WeakSet<Duplex>();

/**
 * Notices that other code took the socket of an upgrade: another `upgrade` listener of the server that answered it or reads it. Two answers on
 * one socket would break the WebSocket of the first.
 */
export class SocketWatch {
  /** Responses to earlier requests on the connection, which go before the upgrade's answer. Undefined: there are none. */
  readonly earlierResponses: Promise<void> | undefined;
  readonly #socket: Duplex;
  readonly #wasDestroyed: boolean;
  /** Undefined while responses to earlier requests are being sent. */
  #bytesWritten: number | undefined;
  #ended = false;
  #isTaken = false;

  constructor(request: IncomingMessage, socket: Duplex) {
    this.#socket = socket;
    this.#wasDestroyed = socket.destroyed;
    this.earlierResponses = earlierResponses(request)?.then(() => this.#begin());
    if (this.earlierResponses === undefined) this.#begin();
  }

  /** Takes the socket for a board. From then on it is taken for every other watch of the socket that asks to claim it, too. */
  claim(): void {
    if (claimed.has(this.#socket)) this.#isTaken = true;
    claimed.add(this.#socket);
  }

  /** To be called in the turn in which the watch began: until then a socket can't have been closed by its peer. */
  endTurn(): void {
    if (this.#socket.destroyed && !this.#wasDestroyed) this.#isTaken = true;
  }

  /** Whether other code wrote to the socket, ended it or reads it since the watch began, or a board had claimed it before. */
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

/** Node gives the socket of an upgrade to its listeners with nobody reading. */
function isRead(socket: Duplex): boolean {
  return (socket.readableFlowing === true && socket.listenerCount("data") > 0) || socket.listenerCount("readable") > 0;
}

/** Of a stream that is no socket nobody counts the bytes. */
function bytesWritten(socket: Duplex): number {
  return (socket as Partial<Socket>).bytesWritten ?? 0;
}
