import type { Server } from "node:http";
import type { Server as NetServer, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { SwitchboardError } from "../errors.ts";
import { pathMatcher } from "../handshake/path.ts";
import { readPlainHead } from "../handshake/request-head.ts";
import { acceptWith } from "../transport/unread-server.ts";
import type { Acceptor, HandshakeSettings } from "./acceptor.ts";
import type { Authorize } from "./authorize.ts";
import type { Counters } from "./counters.ts";
import type { Departures } from "./departures.ts";
import { createHandshakeServer } from "./handshake-server.ts";
import type { ListenerSettings } from "./messages.ts";

/** One socket from its arrival to its end or to its connection. */
interface Entry {
  /** What HTTP is spoken on: the TLS socket, once that is secure. Undefined before. */
  stream: Duplex | undefined;
  /** How it ended was counted, or is no handshake's end: nothing more is counted here. */
  settled: boolean;
  readonly timer: NodeJS.Timeout;
}

interface Listener {
  readonly server: Server;
  readonly settings: HandshakeSettings;
  readonly isSecure: boolean;
  readonly matches: ReturnType<typeof pathMatcher>;
}

export interface SocketAcceptorOwner {
  readonly acceptor: Acceptor;
  readonly counters: Counters;
  readonly departures: Departures;
  /** Of the actor module. */
  readonly authorize: Authorize | undefined;
  acceptFailed(error: Error): void;
}

/** Takes sockets of which nothing was read through TLS and HTTP to the acceptor, in the shard. */
export class SocketAcceptor {
  readonly #owner: SocketAcceptorOwner;
  /** By listener; one for each port whose handshakes are ours. */
  readonly #listeners = new Map<number, Listener>();
  readonly #entries = new Map<Socket, Entry>();
  /** Those of the ports on which this shard accepts by itself. */
  readonly #servers = new Set<NetServer>();

  constructor(owner: SocketAcceptorOwner) {
    this.#owner = owner;
  }

  /** Begins to take sockets of a listener, or changes what new ones get. */
  configure(listener: number, { route, tls }: ListenerSettings): void {
    const { authorize } = this.#owner;
    const settings = { ...route, ...(authorize && { authorize }) };
    const server = createHandshakeServer(route, tls);
    const matches = pathMatcher(route.path);
    server.on("secureConnection", (socket: TLSSocket) => {
      const entry = this.#entryOf(socket);
      if (entry === undefined) {
        socket.destroy();
        return;
      }
      entry.stream = socket;
      socket.allowHalfOpen = true;
    });
    server.on("request", (request) => this.#settle(request.socket));
    server.on("upgrade", (request, socket, head) => {
      const params = matches(request);
      this.#settle(request.socket);
      // From here on the time is the acceptor's to keep.
      clearTimeout(this.#entryOf(request.socket)?.timer);
      if (params !== undefined) {
        this.#owner.acceptor.accept(request, socket, head, params, settings);
      } else {
        this.#owner.acceptor.refuse(socket, { status: 404 });
      }
    });
    server.on("clientError", (error, socket) => this.#handleClientError(error, socket));
    this.#listeners.set(listener, { server, settings, matches, isSecure: tls !== undefined });
  }

  /** Accepts with a server that is this shard's own. */
  listen(server: NetServer, listener: number): void {
    acceptWith(server, (socket) => {
      this.#owner.counters.add("acceptedHere");
      this.accept(socket, listener);
    });
    // Such as running out of descriptors: the sockets that are there go on.
    server.on("error", (error) => this.#owner.acceptFailed(error));
    this.#servers.add(server);
  }

  /** Accepts no more: the operating system refuses. */
  stopListening(): void {
    for (const server of this.#servers) server.close();
    this.#servers.clear();
  }

  /**
   * Takes a socket over as it was accepted.
   *
   * @param address under which its client is counted, if clients are
   */
  accept(socket: Socket, listener: number, address?: string): void {
    const found = this.#listeners.get(listener);
    if (found === undefined) throw new SwitchboardError("closed", "ERR_NO_LISTENER", "nobody listens for this socket");
    const { server, settings, isSecure } = found;
    const timer = setTimeout(() => this.#timeOut(socket), settings.handshakeTimeoutMs);
    this.#entries.set(socket, { stream: isSecure ? undefined : socket, settled: false, timer });
    this.#owner.counters.add("handshakes");
    this.#owner.departures.arrived(socket, address);
    // What a socket's error means is told by its close.
    socket.on("error", ignore);
    socket.once("close", () => {
      if (this.#settle(socket)) this.#owner.counters.upgrades.add("abandoned");
      if (this.#release(socket)) this.#owner.departures.left(socket);
    });
    // A peer that ends its direction in the middle of TLS has left.
    if (isSecure) socket.allowHalfOpen = false;
    if (isSecure || settings.authorize !== undefined) server.emit("connection", socket);
    else this.#readPlain(socket, found);
  }

  /**
   * Does a handshake as almost every client writes it without an HTTP server. Whatever is not plainly that is left to
   * the server, with what was read.
   */
  #readPlain(socket: Socket, { server, settings, matches }: Listener): void {
    const left = (): void => void socket.destroy();
    socket.once("end", left);
    socket.once("data", (chunk: Buffer) => {
      socket.off("end", left);
      const plain = readPlainHead(chunk);
      const params = plain && matches(plain.head);
      const { acceptor } = this.#owner;
      if (plain && params && acceptor.acceptPlain(plain.head, socket, chunk.subarray(plain.length), params, settings)) {
        return;
      }
      socket.pause();
      socket.unshift(chunk);
      server.emit("connection", socket);
      socket.resume();
    });
  }

  /** Makes a connection of the socket: `adopt` does, for the client of this address, or throws and the socket is to be closed. */
  handOver(socket: Duplex, adopt: (address: string | undefined) => void): void {
    const { departures } = this.#owner;
    const raw = rawOf(socket);
    if (!this.#release(raw)) throw new SwitchboardError("transport", "ERR_PEER_GONE", "the peer left in its handshake");
    try {
      adopt(departures.addressOf(raw));
      // The connection departs by itself, later.
      departures.forget(raw);
    } catch (error) {
      departures.left(raw);
      throw error;
    }
  }

  /** The socket is a connection now, or closed. Whether it was neither before. */
  #release(raw: Socket): boolean {
    const entry = this.#entries.get(raw);
    if (entry === undefined) return false;
    clearTimeout(entry.timer);
    this.#entries.delete(raw);
    this.#owner.counters.add("handshakes", -1);
    return true;
  }

  /** Closes everything that is no connection yet. */
  close(): void {
    this.stopListening();
    for (const socket of this.#entries.keys()) socket.destroy();
  }

  #entryOf(socket: Duplex): Entry | undefined {
    return this.#entries.get(rawOf(socket));
  }

  /** Whether the end of this socket is still to be counted; it isn't from now on. */
  #settle(socket: Duplex): boolean {
    const entry = this.#entryOf(socket);
    if (entry === undefined || entry.settled) return false;
    entry.settled = true;
    return true;
  }

  #handleClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    const { acceptor, counters } = this.#owner;
    if (this.#entryOf(socket)?.stream === undefined) {
      // A peer that left in the middle of TLS is counted by its close.
      if (error.code !== "ECONNRESET" && this.#settle(socket)) counters.upgrades.add("failed");
      socket.destroy();
    } else if (error.code === "ECONNRESET") {
      socket.destroy();
    } else {
      this.#settle(socket);
      acceptor.refuseUnparsed(socket, error);
    }
  }

  #timeOut(socket: Socket): void {
    const stream = this.#entryOf(socket)?.stream;
    const { acceptor, counters } = this.#owner;
    if (!this.#settle(socket)) {
      socket.destroy();
    } else if (stream !== undefined && socket.bytesRead > 0) {
      acceptor.refuseTooLate(stream);
    } else {
      counters.upgrades.add("timedOut");
      socket.destroy();
    }
  }
}

/** The accepted socket under a TLS socket. Node's own timeouts go this way; its types don't show it. */
function rawOf(socket: Duplex): Socket {
  return socket instanceof TLSSocket ? (socket as unknown as { _parent: Socket })._parent : (socket as Socket);
}

function ignore(): void {}
