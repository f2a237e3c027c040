import type { Server as NetServer, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { SwitchboardError } from "../../errors.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import { pathMatcher } from "../../wire/handshake/path.ts";
import type { RequestHead } from "../../wire/handshake/request-head.ts";
import { type DescriptorRoom, descriptorRoom, outOfDescriptors } from "../../wire/transport/descriptors.ts";
import { socketBelow } from "../../wire/transport/node-internals.ts";
import { acceptTransportsWith, acceptWith } from "../../wire/transport/raw-socket-server.ts";
import { TcpTransport } from "../../wire/transport/tcp-transport.ts";
import type { Transport } from "../../wire/transport/transport.ts";
import type { HandoffEnvelope } from "../connection/connection-host.ts";
import { type Acceptor, UNAVAILABLE } from "./acceptor.ts";
import type { Authorize } from "./authorize.ts";
import type { ClosedSocketReporter } from "./closed-socket-reporter.ts";
import { FastHandshake, type FastHandshakeOwner, type HandshakeTransport } from "./fast-handshake.ts";
import { createHandshakeServer } from "./handshake-server.ts";
import type { ShardPort, ShardPortSettings } from "./shard-port.ts";

/** One socket from its arrival to its end or to its connection. */
interface Entry {
  /** What HTTP is spoken on: the TLS socket, once that is secure. Undefined before. */
  stream: Duplex | undefined;
  /** How it ended was counted, or is no handshake's end: nothing more is counted here. */
  settled: boolean;
  readonly timer: NodeJS.Timeout;
}

export interface SocketAcceptorOwner {
  readonly acceptor: Acceptor;
  readonly counters: Counters;
  readonly departures: ClosedSocketReporter;
  /** Of the actor module. */
  readonly authorize: Authorize | undefined;
  /** Makes a connection, or throws: then the transport is to be destroyed. */
  adopt(transport: Transport, arrival: HandoffEnvelope): void;
  acceptFailed(error: Error): void;
}

const NOTHING = Buffer.alloc(0);

/** Takes sockets of which nothing was read through TLS and HTTP to the acceptor, in the shard. */
export class SocketAcceptor implements FastHandshakeOwner {
  readonly #owner: SocketAcceptorOwner;
  /** By listener; one for each port whose handshakes are ours. */
  readonly #listeners = new Map<number, ShardPort>();
  readonly #entries = new Map<Socket, Entry>();
  readonly #fastHandshakes = new Set<FastHandshake>();
  /** Those of the ports on which this shard accepts by itself. */
  readonly #servers = new Set<NetServer>();

  constructor(owner: SocketAcceptorOwner) {
    this.#owner = owner;
  }

  /** Begins to take sockets of a listener, or changes what new ones get. */
  configure(listener: number, { route, tls }: ShardPortSettings): void {
    const { authorize, acceptor } = this.#owner;
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
      acceptor.accept(request, socket, head, params, settings);
    });
    server.on("clientError", (error, socket) => this.#handleClientError(error, socket));
    const checks = acceptor.checksOf(settings);
    this.#listeners.set(listener, { server, settings, checks, matches, isSecure: tls !== undefined });
  }

  /** Accepts with a server that is this shard's own. */
  listen(server: NetServer, listener: number): void {
    const { counters } = this.#owner;
    if (takesFastHandshakes(this.#listenerOf(listener))) {
      acceptTransportsWith(server, (transport, room) => {
        if (room !== "enough") {
          this.#refuse(transport, room);
          return;
        }
        counters.add("acceptedHere");
        this.#acceptFast(transport, this.#listenerOf(listener));
      });
    } else {
      acceptWith(server, (socket) => {
        const room = descriptorRoom(socket);
        if (room !== "enough") {
          this.#refuse(socket, this.#listenerOf(listener).isSecure ? "none" : room);
          return;
        }
        counters.add("acceptedHere");
        this.#acceptStream(socket, this.#listenerOf(listener));
      });
    }
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
   * @param clientKey under which its client is counted, if clients are
   */
  accept(socket: Socket, listener: number, clientKey?: string): void {
    const found = this.#listenerOf(listener);
    const room = descriptorRoom(socket);
    if (room !== "enough") {
      this.#owner.departures.arrived(socket, clientKey);
      this.#owner.departures.left(socket);
      this.#refuse(socket, found.isSecure ? "none" : room);
      return;
    }
    if (takesFastHandshakes(found)) this.#acceptFast(new TcpTransport(socket, NOTHING), found, clientKey);
    else this.#acceptStream(socket, found, clientKey);
  }

  /** Turns a socket away that would take one of the last descriptors: with 503 where there is room and no TLS, else unanswered. */
  #refuse(socket: Socket | TcpTransport, room: DescriptorRoom): void {
    const { acceptor, counters, acceptFailed } = this.#owner;
    if (room === "few") {
      acceptor.refuse(socket instanceof TcpTransport ? socket.toStream(NOTHING) : socket, UNAVAILABLE);
    } else {
      counters.upgrades.add("failed");
      socket.destroy();
    }
    acceptFailed(outOfDescriptors());
  }

  /** Takes a transport over from its accept on, of a port without TLS and without `authorize`. */
  acceptTransport(transport: HandshakeTransport, listener: number): void {
    this.#acceptFast(transport, this.#listenerOf(listener));
  }

  #listenerOf(listener: number): ShardPort {
    const found = this.#listeners.get(listener);
    if (found === undefined) throw new SwitchboardError("ERR_NO_LISTENER", "nobody listens for this socket");
    return found;
  }

  // ── requests that are read here ────────────────────────────────────────────────────────────────────────

  #acceptFast(transport: HandshakeTransport, listener: ShardPort, clientKey?: string): void {
    const { counters, departures } = this.#owner;
    const handshake = new FastHandshake(transport, listener, clientKey, this);
    this.#fastHandshakes.add(handshake);
    counters.add("handshakes");
    departures.arrived(handshake, clientKey);
    transport.start(handshake);
  }

  take(handshake: FastHandshake, request: RequestHead, rest: Buffer): boolean {
    const { acceptor, departures, adopt } = this.#owner;
    const { transport, listener, clientKey } = handshake;
    const params = listener.matches(request);
    if (params === undefined) return false;
    const accepted = acceptor.checkFast(request, listener.checks);
    if (accepted === undefined) return false;
    clearTimeout(handshake.timer);
    this.#forget(handshake);
    transport.handOver(rest);
    acceptor.acceptFast(accepted, request, transport, params, (arrival) => {
      try {
        adopt(transport, { ...arrival, clientKey: clientKey });
        // The connection departs by itself, later.
        departures.forget(handshake);
      } catch (error) {
        departures.left(handshake);
        transport.destroy();
        throw error;
      }
    });
    return true;
  }

  leaveToHttp(handshake: FastHandshake, chunk: Buffer): void {
    const { listener, clientKey, timer, transport } = handshake;
    this.#forget(handshake);
    this.#owner.departures.forget(handshake);
    const socket = transport.toStream(chunk);
    handshake.stream = socket;
    this.#enter(socket, listener, clientKey, timer);
    socket.resume();
  }

  timedOut(handshake: FastHandshake): void {
    if (handshake.stream !== undefined) {
      this.#timeOut(handshake.stream);
      return;
    }
    this.#owner.counters.upgrades.add("timedOut");
    this.#lose(handshake);
  }

  abandoned(handshake: FastHandshake): void {
    if (!this.#fastHandshakes.has(handshake)) return;
    this.#owner.counters.upgrades.add("abandoned");
    this.#lose(handshake);
  }

  #lose(handshake: FastHandshake): void {
    clearTimeout(handshake.timer);
    this.#forget(handshake);
    this.#owner.departures.left(handshake);
    handshake.transport.destroy();
  }

  #forget(handshake: FastHandshake): void {
    this.#fastHandshakes.delete(handshake);
    this.#owner.counters.add("handshakes", -1);
  }

  // ── sockets of a server of node:http or node:https ─────────────────────────────────────────────────────

  #acceptStream(socket: Socket, listener: ShardPort, clientKey?: string): void {
    const timer = setTimeout(() => this.#timeOut(socket), listener.settings.handshakeTimeoutMs);
    this.#enter(socket, listener, clientKey, timer);
  }

  #enter(socket: Socket, { server, isSecure }: ShardPort, clientKey: string | undefined, timer: NodeJS.Timeout): void {
    this.#entries.set(socket, { stream: isSecure ? undefined : socket, settled: false, timer });
    this.#owner.counters.add("handshakes");
    this.#owner.departures.arrived(socket, clientKey);
    // What a socket's error means is told by its close.
    socket.on("error", ignore);
    socket.once("close", () => {
      if (this.#settle(socket)) this.#owner.counters.upgrades.add("abandoned");
      if (this.#release(socket)) this.#owner.departures.left(socket);
    });
    // A peer that ends its direction in the middle of TLS has left.
    if (isSecure) socket.allowHalfOpen = false;
    server.emit("connection", socket);
  }

  /** Makes a connection of the socket: `adopt` does, for the client of this clientKey, or throws and the socket is to be closed. */
  handOver(socket: Duplex, adopt: (clientKey: string | undefined) => void): void {
    const { departures } = this.#owner;
    const raw = rawOf(socket);
    if (!this.#release(raw)) throw new SwitchboardError("ERR_PEER_GONE", "the peer left in its handshake");
    try {
      adopt(departures.clientKeyOf(raw));
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
    for (const { transport } of this.#fastHandshakes) transport.destroy();
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

/** Whether requests can be read without HTTP: nobody else has a say. */
function takesFastHandshakes({ isSecure, settings }: ShardPort): boolean {
  return !isSecure && settings.authorize === undefined;
}

/** The accepted socket under a TLS socket. Node's own timeouts go this way. */
function rawOf(socket: Duplex): Socket {
  return socket instanceof TLSSocket ? socketBelow(socket) : (socket as Socket);
}

function ignore(): void {}
