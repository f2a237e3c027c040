/**
 * Takes sockets of which nothing was read from their accept to the acceptor, in a shard: `Shard` gives it the sockets
 * that the main thread accepted, and the servers of ports on which the shard accepts by itself.
 */
import type { Server as NetServer, Socket } from "node:net";
import { SwitchboardError } from "../../../errors.ts";
import { pathMatcher } from "../../../wire/handshake/path.ts";
import { EMPTY } from "../../../wire/protocol/empty.ts";
import { type DescriptorRoom, descriptorRoom, outOfDescriptors } from "../../../wire/transport/descriptors.ts";
import { acceptWith } from "../../../wire/transport/raw-socket-server.ts";
import { type ListeningSocket, listeningWith } from "../../../wire/transport/tcp-sockets.ts";
import type { HandshakeTransport } from "../../../wire/transport/transport.ts";
import { UNAVAILABLE } from "../acceptor.ts";
import { createHandshakeServer } from "../handshake-server.ts";
import type { ShardPort, ShardPortSettings } from "../shard-port.ts";
import { FastHandshakes } from "./fast-handshake.ts";
import { HttpSockets } from "./http-sockets.ts";
import type { SocketAcceptorOwner } from "./socket-acceptor-owner.ts";

/** A listening server on its way to another thread of the shard. */
export interface GivenServer {
  readonly server: NetServer;
  readonly listenerId: number;
  readonly settings: ShardPortSettings;
}

export class SocketAcceptor {
  /** The sockets of ports with TLS or `authorize`, and those whose request isn't simple. */
  readonly http: HttpSockets;
  readonly #fast: FastHandshakes;
  readonly #owner: SocketAcceptorOwner;
  /** The ports whose handshakes this shard does, by listener id. */
  readonly #ports = new Map<number, ShardPort>();
  /** The listening sockets of the ports on which this shard accepts by itself, with their listener ids. */
  readonly #listening = new Map<ListeningSocket, number>();

  constructor(owner: SocketAcceptorOwner) {
    this.#owner = owner;
    this.http = new HttpSockets(owner);
    this.#fast = new FastHandshakes(owner, this.http);
    owner.held.onRelease(() => {
      this.#fast.released();
      if (owner.held.isPassing) this.http.passUnreadOn();
    });
  }

  /** Adds a port, or changes what the new sockets of a port get. */
  configure(listenerId: number, origin: ShardPortSettings): void {
    const { route, tls } = origin;
    const { acceptor } = this.#owner;
    const authorize = this.#owner.authorizeOf(route.actor);
    const settings = { ...route, ...(authorize && { authorize }) };
    const server = createHandshakeServer(route, tls);
    const matches = pathMatcher(route.path);
    server.on("secureConnection", (socket) => this.http.secured(socket));
    server.on("request", (request) => this.http.settle(request.socket));
    server.on("upgrade", (request, socket, head) => {
      const params = matches(request);
      this.http.upgraded(request.socket);
      acceptor.accept(request, socket, head, params, settings);
    });
    server.on("clientError", (error, socket) => this.http.clientFailed(error, socket));
    const checks = acceptor.checksOf(settings);
    const isSecure = tls !== undefined;
    this.#ports.set(listenerId, { listenerId, server, settings, checks, matches, isSecure, origin });
  }

  /** Accepts with a server of another thread, whose port the main thread may not have told of yet. */
  takeOver({ server, listenerId, settings }: GivenServer): void {
    if (!this.#ports.has(listenerId)) this.configure(listenerId, settings);
    this.listen(server, listenerId);
  }

  /** Accepts with a server that belongs to this shard. */
  listen(server: NetServer, listenerId: number): void {
    const { counters, sockets } = this.#owner;
    // An error, such as running out of descriptors, leaves the sockets that are there open.
    const failed = (error: Error): void => this.#owner.acceptFailed(error);
    if (takesFastHandshakes(this.#portOf(listenerId))) {
      const accepted = (transport: HandshakeTransport, room: DescriptorRoom): void => {
        if (room !== "enough") {
          this.#refuse(transport, room);
          return;
        }
        counters.add("acceptedHere");
        this.acceptTransport(transport, listenerId);
      };
      this.#listening.set(sockets.accept(server, accepted, failed), listenerId);
    } else {
      acceptWith(server, (socket) => {
        const port = this.#portOf(listenerId);
        const room = descriptorRoom(socket);
        if (room !== "enough") {
          this.#refuse(socket, port.isSecure ? "none" : room);
          return;
        }
        counters.add("acceptedHere");
        this.http.enter(socket, port, undefined);
      });
      this.#listening.set(listeningWith(server.on("error", failed)), listenerId);
    }
  }

  /** Gives up all servers, for another thread to accept with. */
  takeServers(): GivenServer[] {
    const all = [...this.#listening];
    this.#listening.clear();
    return all.flatMap(([listening, listenerId]) => {
      const server = listening.toServer();
      return server === undefined ? [] : [{ server, listenerId, settings: this.#portOf(listenerId).origin }];
    });
  }

  /** Stops accepting: the operating system refuses new connections. */
  stopListening(): void {
    for (const one of this.#listening.keys()) one.close();
    this.#listening.clear();
  }

  /**
   * Takes a socket over that the main thread accepted.
   *
   * @param clientKey the key under which the client is counted; undefined where clients aren't counted
   * @param head bytes that another process has read
   */
  accept(socket: Socket, listenerId: number, clientKey?: string, head = EMPTY): void {
    const { closedSockets } = this.#owner;
    const port = this.#portOf(listenerId);
    const room = descriptorRoom(socket);
    if (room !== "enough") {
      closedSockets.arrived(socket, clientKey);
      closedSockets.left(socket);
      this.#refuse(socket, port.isSecure ? "none" : room);
    } else if (takesFastHandshakes(port)) {
      this.#fast.start(this.#owner.sockets.take(socket, head, true), port, clientKey);
    } else {
      if (head.length > 0) socket.unshift(head);
      this.http.enter(socket, port, clientKey);
    }
  }

  /** Takes a transport over from its accept on. Its port has no TLS and no `authorize`. */
  acceptTransport(transport: HandshakeTransport, listenerId: number): void {
    this.#fast.start(transport, this.#portOf(listenerId), undefined);
  }

  /** Closes every socket that is no connection yet, and stops listening. */
  close(): void {
    this.stopListening();
    this.#fast.close();
    this.http.close();
  }

  /**
   * Turns a socket away that would take one of the last descriptors: with 503 while a few are left, else unanswered.
   * The caller passes "none" for a port with TLS, on which a 503 can't be said yet.
   */
  #refuse(socket: Socket | HandshakeTransport, room: DescriptorRoom): void {
    const { acceptor, counters, acceptFailed } = this.#owner;
    if (room === "few") {
      acceptor.refuse("toStream" in socket ? socket.toStream(EMPTY) : socket, UNAVAILABLE);
    } else {
      counters.upgrades.add("failed");
      socket.destroy();
    }
    acceptFailed(outOfDescriptors());
  }

  #portOf(listenerId: number): ShardPort {
    const found = this.#ports.get(listenerId);
    if (found === undefined) throw new SwitchboardError("ERR_NO_LISTENER", "nobody listens for this socket");
    return found;
  }
}

/** True when requests can be read without `node:http`: the port has no TLS, and no `authorize` to call. */
function takesFastHandshakes({ isSecure, settings }: ShardPort): boolean {
  return !isSecure && settings.authorize === undefined;
}
