/**
 * The sockets on which a shard speaks HTTP, and perhaps TLS, through a server of `node:http` or `node:https`. Used by
 * `SocketAcceptor`.
 */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { SwitchboardError } from "../../../errors.ts";
import { missingError } from "../../../wire/node-internals/missing.ts";
import { socketBelow } from "../../../wire/node-internals/net.ts";
import { EMPTY, noop } from "../../../wire/protocol/empty.ts";
import { isTlsSocket, takeSocket } from "../../../wire/transport/taken-socket.ts";
import type { ShardPort } from "../shard-port.ts";
import type { SocketAcceptorOwner } from "./socket-acceptor-owner.ts";

/** One socket from its arrival to its end or to its connection. */
interface Entry {
  /**
   * The stream that carries HTTP: the TLS socket once it is secure, the socket itself without TLS. Undefined before.
   */
  stream: Duplex | undefined;
  /** True when the end of the socket is counted already, or is not the end of a handshake. */
  settled: boolean;
  readonly port: ShardPort;
  /** Deadline of the request. */
  readonly timer: NodeJS.Timeout;
  /** Bytes of the request that were read before the socket came here. */
  readonly begun: Buffer;
  /** `bytesRead` of the socket when it came here. */
  readonly bytesRead: number;
}

/** A request whose first bytes were read before its socket came here. */
interface BegunRequest {
  readonly bytes: Buffer;
  /** Time that is left for the request, in milliseconds. */
  readonly restMs: number;
}

export class HttpSockets {
  readonly #owner: SocketAcceptorOwner;
  readonly #entries = new Map<Socket, Entry>();

  constructor(owner: SocketAcceptorOwner) {
    this.#owner = owner;
  }

  /**
   * Gives a socket to the HTTP server of its port.
   *
   * @param begun the request, if its first bytes were read; the stream holds them as well. Default: no bytes were read,
   * and the time of the port begins
   */
  enter(socket: Socket, port: ShardPort, clientKey: string | undefined, begun?: BegunRequest): void {
    const { server, isSecure, settings } = port;
    const { bytes, restMs } = begun ?? { bytes: EMPTY, restMs: settings.handshakeTimeoutMs };
    const timer = setTimeout(() => this.timeOut(socket), restMs);
    const stream = isSecure ? undefined : socket;
    const { bytesRead } = socket;
    this.#entries.set(socket, { stream, settled: false, port, timer, begun: bytes, bytesRead });
    this.#owner.counters.add("handshakes");
    this.#owner.closedSockets.arrived(socket, clientKey);
    // The socket's close follows its error.
    socket.on("error", noop);
    socket.once("close", () => {
      if (this.settle(socket)) this.#owner.counters.upgrades.add("abandoned");
      if (this.#release(socket)) this.#owner.closedSockets.left(socket);
    });
    // A peer that ends its direction in the middle of TLS has left.
    if (isSecure) socket.allowHalfOpen = false;
    server.emit("connection", socket);
  }

  /** Handles the `secureConnection` event of a server. */
  secured(socket: TLSSocket): void {
    const entry = this.#entryOf(socket);
    if (entry === undefined) {
      if (rawOf(socket) === undefined) this.#owner.acceptFailed(missingError("tls.TLSSocket._parent"));
      socket.destroy();
      return;
    }
    entry.stream = socket;
    socket.allowHalfOpen = true;
  }

  /** Stops the deadline of a socket whose upgrade the acceptor takes, with a deadline of its own. */
  upgraded(socket: Socket): void {
    this.settle(socket);
    clearTimeout(this.#entryOf(socket)?.timer);
  }

  /**
   * Makes a connection of a socket. Throws `ERR_PEER_GONE` for a socket that was closed, and what `adopt` throws: the
   * caller then closes the socket.
   *
   * @param adopt makes the connection, for the client of this key
   */
  handOver(socket: Duplex, adopt: (clientKey: string | undefined) => void): void {
    const { closedSockets } = this.#owner;
    const raw = rawOf(socket);
    if (raw === undefined || !this.#release(raw))
      throw new SwitchboardError("ERR_PEER_GONE", "the peer left in its handshake");
    try {
      adopt(closedSockets.clientKeyOf(raw));
      // The connection reports its own end, later.
      closedSockets.forget(raw);
    } catch (error) {
      closedSockets.left(raw);
      throw error;
    }
  }

  /** Handles the `clientError` event of a server: TLS failed, or a request couldn't be parsed. */
  clientFailed(error: NodeJS.ErrnoException, socket: Duplex): void {
    const { acceptor, counters } = this.#owner;
    if (this.#entryOf(socket)?.stream === undefined) {
      // A peer that left in the middle of TLS is counted by its close.
      if (error.code !== "ECONNRESET" && this.settle(socket)) counters.upgrades.add("failed");
      socket.destroy();
    } else if (error.code === "ECONNRESET") {
      socket.destroy();
    } else {
      this.settle(socket);
      acceptor.refuseUnparsed(socket, error);
    }
  }

  /** Ends a socket whose deadline has passed: with 408 when a part of a request came, else unanswered. */
  timeOut(socket: Socket): void {
    const { stream, begun = EMPTY } = this.#entryOf(socket) ?? {};
    const { acceptor, counters } = this.#owner;
    if (!this.settle(socket)) {
      socket.destroy();
    } else if (stream !== undefined && (begun.length > 0 || socket.bytesRead > 0)) {
      acceptor.refuseTooLate(stream);
    } else {
      counters.upgrades.add("timedOut");
      socket.destroy();
    }
  }

  /** Marks the end of a socket as counted. Returns false when it was marked before. */
  settle(socket: Duplex): boolean {
    const entry = this.#entryOf(socket);
    if (entry === undefined || entry.settled) return false;
    entry.settled = true;
    return true;
  }

  /** Returns the number of the port of a socket without an answer; undefined if the socket was closed. */
  listenerOf(socket: Duplex): number | undefined {
    return this.#entryOf(socket)?.port.listenerId;
  }

  /**
   * Gives the sockets of which nothing was read here to the process or the thread that has taken over. A half request
   * of which a part was read here stays.
   */
  passUnreadOn(): void {
    for (const [socket, { stream, begun, bytesRead, port }] of this.#entries) {
      // The server hasn't read yet what the stream holds.
      if (stream !== socket || socket.bytesRead > bytesRead || socket.readableLength > 0) continue;
      if (socket.destroyed || !this.settle(socket)) continue;
      const taken = takeSocket(socket, begun);
      // The socket's close releases the entry of a socket that can't be taken.
      if (taken === undefined) continue;
      this.passedOn(socket);
      this.#owner.passOn({ listenerId: port.listenerId, socket: { handle: taken.handle }, bytes: taken.bytes });
    }
  }

  /** Forgets a socket that was taken out of its stream, to be passed on. */
  passedOn(socket: Duplex): void {
    const raw = rawOf(socket);
    if (raw !== undefined && this.#release(raw)) this.#owner.closedSockets.left(raw);
  }

  /** Resolves when the requests that have begun are over: requests without TLS, which can be passed on. */
  async answered(): Promise<void> {
    const begun = [...this.#entries].filter(([socket, { stream, settled }]) => stream === socket && !settled);
    await Promise.all(begun.map(([socket]) => new Promise((resolve) => socket.once("close", resolve))));
  }

  /** Closes every socket that is no connection yet: the shard ends. */
  close(): void {
    for (const socket of this.#entries.keys()) {
      if (this.settle(socket)) this.#owner.counters.upgrades.add("failed");
      // The thread may have ended before the socket says that it is closed.
      this.#release(socket);
      this.#owner.closedSockets.left(socket);
      socket.destroy();
    }
  }

  /** Forgets a socket that is a connection now, or closed. Returns false when it was forgotten before. */
  #release(raw: Socket): boolean {
    const entry = this.#entries.get(raw);
    if (entry === undefined) return false;
    clearTimeout(entry.timer);
    this.#entries.delete(raw);
    this.#owner.counters.add("handshakes", -1);
    return true;
  }

  #entryOf(socket: Duplex): Entry | undefined {
    const raw = rawOf(socket);
    return raw && this.#entries.get(raw);
  }
}

/** Returns the accepted socket below a TLS socket; undefined when this Node hides it. */
function rawOf(socket: Duplex): Socket | undefined {
  return isTlsSocket(socket) ? socketBelow(socket) : (socket as Socket);
}
