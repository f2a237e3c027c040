/**
 * Opening handshakes that a shard does without `node:http`, on ports without TLS and without `authorize`. Used by
 * `SocketAcceptor`.
 */
import type { Socket } from "node:net";
import type { ScheduledTask } from "../../../runtime/scheduling/fair-scheduler.ts";
import { type Listed, UnorderedList } from "../../../runtime/scheduling/unordered-list.ts";
import { type RequestHead, readSimpleHead } from "../../../wire/handshake/request-head.ts";
import type { HandoffResult } from "../../../wire/transport/pending-handoffs.ts";
import type { HandshakeTransport, TransportReceiver } from "../../../wire/transport/transport.ts";
import type { ShardPort } from "../shard-port.ts";
import type { HttpSockets } from "./http-sockets.ts";
import type { SocketAcceptorOwner } from "./socket-acceptor-owner.ts";

const ADOPTED = { outcome: "adopted" } as const;

/** The fast handshakes of one shard that are under way. */
export class FastHandshakes {
  readonly owner: SocketAcceptorOwner;
  /** Takes the sockets whose first bytes are no simple request. */
  readonly http: HttpSockets;
  readonly #open = new UnorderedList<FastHandshake>();

  constructor(owner: SocketAcceptorOwner, http: HttpSockets) {
    this.owner = owner;
    this.http = http;
  }

  /** @param clientKey the key under which the client is counted; undefined where clients aren't counted */
  start(transport: HandshakeTransport, port: ShardPort, clientKey: string | undefined): void {
    const handshake = new FastHandshake(transport, port, clientKey, this);
    this.#open.add(handshake);
    this.owner.counters.add("handshakes");
    this.owner.closedSockets.arrived(handshake, clientKey);
    transport.start(handshake);
  }

  /** Removes a handshake that has ended. Returns false for one that was removed before. */
  remove(handshake: FastHandshake): boolean {
    if (!this.#open.delete(handshake)) return false;
    this.owner.counters.add("handshakes", -1);
    return true;
  }

  close(): void {
    for (let place = this.#open.length - 1; place >= 0; place--) this.#open.at(place)?.transport.destroy();
  }
}

/**
 * One connection from its accept to its first bytes. Almost every client writes its request in one read and in a simple
 * form. Such a request becomes a connection in the same turn, without an HTTP server, a stream or a promise. Whatever
 * else comes goes to `node:http`. When many requests come at once, they are background work of the shard.
 */
export class FastHandshake implements TransportReceiver, Listed, ScheduledTask {
  place = -1;
  readonly transport: HandshakeTransport;
  readonly #port: ShardPort;
  readonly #clientKey: string | undefined;
  readonly #all: FastHandshakes;
  /** Deadline of the handshake. It goes on when `node:http` gets the socket. */
  readonly #timer: NodeJS.Timeout;
  /** The socket that `node:http` got; undefined before. */
  #socket: Socket | undefined;
  /** Bytes of a request that waits for its turn, because many come at once. */
  #waiting: Buffer | undefined;
  #over = false;

  constructor(transport: HandshakeTransport, port: ShardPort, clientKey: string | undefined, all: FastHandshakes) {
    this.transport = transport;
    this.#port = port;
    this.#clientKey = clientKey;
    this.#all = all;
    this.#timer = setTimeout(timeOut, port.settings.handshakeTimeoutMs, this);
  }

  received(chunk: Buffer): void {
    const { turns } = this.#all.owner;
    if (turns.admitsBackground()) {
      this.#read(chunk);
      return;
    }
    // What follows the request stays in the transport.
    this.transport.pause();
    this.#waiting = Buffer.from(chunk);
    turns.addBackground(this);
  }

  /** Called by the `FairScheduler` when a request has waited. */
  takeTurn(): void {
    const chunk = this.#waiting;
    this.#waiting = undefined;
    if (chunk !== undefined && !this.#over) this.#read(chunk);
  }

  #read(chunk: Buffer): void {
    this.#over = true;
    const simple = readSimpleHead(chunk);
    if (simple !== undefined && this.#take(simple.head, chunk.subarray(simple.length))) return;
    this.#leaveToHttp(chunk);
  }

  drained(): void {}

  ended(): void {
    this.transport.destroy();
  }

  closed(): void {
    if (!this.#over) this.#lose("abandoned");
    this.#over = true;
  }

  expired(): void {
    if (this.#socket !== undefined) this.#all.http.timeOut(this.#socket);
    else this.#lose("timedOut");
  }

  /** Makes a connection. Returns false, with nothing done, for a request that must be answered in another way. */
  #take(request: RequestHead, rest: Buffer): boolean {
    const { acceptor, closedSockets, adopt } = this.#all.owner;
    const { matches, checks, settings } = this.#port;
    const params = matches(request);
    if (params === undefined) return false;
    const accepted = acceptor.checkFast(request, checks);
    if (accepted === undefined) return false;
    const { transport } = this;
    clearTimeout(this.#timer);
    this.#all.remove(this);
    transport.handOver(rest);
    transport.resume();
    let result: Exclude<HandoffResult, { outcome: "stayed" }> = ADOPTED;
    try {
      adopt(transport, acceptor.acceptFast(accepted, request, transport, params, settings.actor, this.#clientKey));
      // The connection reports its own end, later.
      closedSockets.forget(this);
    } catch (error) {
      closedSockets.left(this);
      transport.destroy();
      result = { outcome: "failed", error: error as Error };
    }
    acceptor.outcomes.handedOff(result, request);
    return true;
  }

  #leaveToHttp(chunk: Buffer): void {
    this.#all.remove(this);
    this.#all.owner.closedSockets.forget(this);
    const socket = this.transport.toStream(chunk);
    this.#socket = socket;
    this.#all.http.enter(socket, this.#port, this.#clientKey, this.#timer);
    socket.resume();
  }

  /** Ends a handshake whose request never came. */
  #lose(outcome: "abandoned" | "timedOut"): void {
    this.#waiting = undefined;
    clearTimeout(this.#timer);
    if (!this.#all.remove(this)) return;
    this.#all.owner.counters.upgrades.add(outcome);
    this.#all.owner.closedSockets.left(this);
    this.transport.destroy();
  }
}

/** One function for all handshakes, instead of a closure for each. */
function timeOut(handshake: FastHandshake): void {
  handshake.expired();
}
