/**
 * Opening handshakes that a shard does without `node:http`, on ports without TLS and without `authorize`. Used by
 * `SocketAcceptor`.
 */
import type { ScheduledTask } from "../../../runtime/scheduling/fair-scheduler.ts";
import { type Listed, UnorderedList } from "../../../runtime/scheduling/unordered-list.ts";
import { type RequestHead, readSimpleHead } from "../../../wire/handshake/request-head.ts";
import { EMPTY } from "../../../wire/protocol/empty.ts";
import type { HandoffResult } from "../../../wire/transport/pending-handoffs.ts";
import {
  type HandshakeTransport,
  isMovableTransport,
  type TransportReceiver,
} from "../../../wire/transport/transport.ts";
import type { ShardPort } from "../shard-port.ts";
import type { HttpSockets } from "./http-sockets.ts";
import type { SocketAcceptorOwner } from "./socket-acceptor-owner.ts";

const ADOPTED = { outcome: "adopted" } as const;

/** Milliseconds by which a timer of Node may be early. */
const EARLY_MS = 1;
/** Part of its time by which a handshake may end late. */
const LATE = 1 / 20;

/** The fast handshakes of one shard that are under way, with one timer for all of their deadlines. */
export class FastHandshakes {
  readonly owner: SocketAcceptorOwner;
  /** Takes the sockets whose first bytes are no simple request. */
  readonly http: HttpSockets;
  readonly #open = new UnorderedList<FastHandshake>();
  #timer: NodeJS.Timeout | undefined;
  /** Time at which the timer is due, in milliseconds of `performance.now()`; infinite without a timer. */
  #dueAt = Number.POSITIVE_INFINITY;

  constructor(owner: SocketAcceptorOwner, http: HttpSockets) {
    this.owner = owner;
    this.http = http;
  }

  /** @param clientKey the key under which the client is counted; undefined where clients aren't counted */
  start(transport: HandshakeTransport, port: ShardPort, clientKey: string | undefined): void {
    const handshake = new FastHandshake(transport, port, clientKey, this);
    this.#open.add(handshake);
    this.#wakeAt(handshake.deadline);
    this.owner.counters.add("handshakes");
    this.owner.closedSockets.arrived(handshake, clientKey);
    transport.start(handshake);
    if (this.owner.held.isPassing) this.owner.turns.addBackground(handshake);
  }

  /** The wait is over: the requests that have waited are read, or all sockets are passed on. */
  released(): void {
    const { held, turns } = this.owner;
    for (let place = this.#open.length - 1; place >= 0; place--) {
      const handshake = this.#open.at(place);
      if (held.isPassing) handshake?.passOn();
      else if (handshake?.isHeld === true) turns.addBackground(handshake);
    }
  }

  /** Removes a handshake that has ended. Returns false for one that was removed before. */
  remove(handshake: FastHandshake): boolean {
    if (!this.#open.delete(handshake)) return false;
    this.owner.counters.add("handshakes", -1);
    return true;
  }

  #wakeAt(deadline: number): void {
    if (deadline >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = deadline;
    this.#timer = setTimeout(this.#expire, deadline - performance.now());
  }

  /** Ends the handshakes whose deadline has passed. */
  readonly #expire = (): void => {
    this.#dueAt = Number.POSITIVE_INFINITY;
    const now = performance.now() + EARLY_MS;
    let next = Number.POSITIVE_INFINITY;
    // Backwards: the last handshake, which this loop has already seen, takes the place of one that is removed.
    for (let place = this.#open.length - 1; place >= 0; place--) {
      const handshake = this.#open.at(place);
      if (handshake === undefined) continue;
      if (handshake.deadline <= now) handshake.expired();
      else next = Math.min(next, Math.max(handshake.deadline, now + LATE * handshake.timeoutMs));
    }
    if (next !== Number.POSITIVE_INFINITY) this.#wakeAt(next);
  };

  /** Ends all handshakes: the shard ends. */
  close(): void {
    clearTimeout(this.#timer);
    for (let place = this.#open.length - 1; place >= 0; place--) this.#open.at(place)?.cut();
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
  /** Time at which the handshake must have ended, in milliseconds of `performance.now()`. */
  readonly deadline: number;
  /** Bytes of a request that waits for its turn, because many come at once, or for the outcome of a takeover. */
  #waiting: Buffer | undefined;
  /** True if the request waits for the outcome of a takeover. */
  isHeld = false;
  #over = false;

  constructor(transport: HandshakeTransport, port: ShardPort, clientKey: string | undefined, all: FastHandshakes) {
    this.transport = transport;
    this.#port = port;
    this.#clientKey = clientKey;
    this.#all = all;
    this.deadline = performance.now() + port.settings.handshakeTimeoutMs;
  }

  /** Time for a whole handshake, in milliseconds. */
  get timeoutMs(): number {
    return this.#port.settings.handshakeTimeoutMs;
  }

  received(chunk: Buffer): void {
    const { turns, held } = this.#all.owner;
    if (held.isOpen && turns.admitsBackground()) {
      this.#read(chunk);
      return;
    }
    // Bytes behind the request stay in the transport.
    this.transport.pause();
    this.#waiting = Buffer.from(chunk);
    turns.addBackground(this);
  }

  /** Called by the `FairScheduler` when a request has waited. */
  takeTurn(): void {
    if (this.#over) return;
    const { phase, isPassing } = this.#all.owner.held;
    this.isHeld = phase === "held";
    if (this.isHeld) return;
    if (isPassing) {
      this.passOn();
      return;
    }
    const chunk = this.#waiting;
    this.#waiting = undefined;
    if (chunk !== undefined) this.#read(chunk);
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
  }

  /** Called when the deadline has passed. */
  expired(): void {
    this.#lose("timedOut");
  }

  /** The shard ends. */
  cut(): void {
    this.#lose("failed");
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

  /** Gives the socket to the process or the thread that has taken over, with what was read. */
  passOn(): void {
    if (this.#over) return;
    const { transport } = this;
    const { owner } = this.#all;
    const detached = isMovableTransport(transport) ? transport.detach() : undefined;
    if (detached === undefined || !("socket" in detached)) {
      // The peer has left.
      this.#lose("abandoned");
      return;
    }
    const bytes = Buffer.concat([this.#waiting ?? EMPTY, detached.unread]);
    this.#waiting = undefined;
    this.#over = true;
    this.#all.remove(this);
    owner.closedSockets.left(this);
    owner.passOn({ listenerId: this.#port.listenerId, socket: detached.socket, bytes });
  }

  #leaveToHttp(chunk: Buffer): void {
    this.#all.remove(this);
    this.#all.owner.closedSockets.forget(this);
    const socket = this.transport.toStream(chunk);
    const restMs = Math.max(0, this.deadline - performance.now());
    this.#all.http.enter(socket, this.#port, this.#clientKey, { bytes: Buffer.from(chunk), restMs });
    socket.resume();
  }

  /** Ends a handshake whose request never came. */
  #lose(outcome: "abandoned" | "timedOut" | "failed"): void {
    this.#waiting = undefined;
    this.#over = true;
    if (!this.#all.remove(this)) return;
    this.#all.owner.counters.upgrades.add(outcome);
    this.#all.owner.closedSockets.left(this);
    this.transport.destroy();
  }
}
