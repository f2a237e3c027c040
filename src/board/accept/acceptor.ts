import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { reportError, reviveError, SwitchboardError } from "../../errors.ts";
import type { Params } from "../../runtime/actor/actor.ts";
import { UpgradeCounters, type UpgradeOutcome } from "../../runtime/stats/upgrade-counters.ts";
import type { RequestHead } from "../../wire/handshake/request-head.ts";
import {
  type Accepted,
  checkHandshake,
  type ServerHandshakeOptions,
  type UpgradeRequest,
} from "../../wire/handshake/server.ts";
import type { CompressionOptions } from "../../wire/protocol/deflate/compression.ts";
import { descriptorRoom, outOfDescriptors } from "../../wire/transport/descriptors.ts";
import type { HandoffResult } from "../../wire/transport/pending-handoffs.ts";
import { refuseUpgrade, type UpgradeRefusal } from "../../wire/upgrade/response.ts";
import type { HandoffEnvelope } from "../connection/connection-host.ts";
import { upgradeChannel } from "../connection/diagnostics.ts";
import { type Authorize, checkCloneable, decide, type Verdict } from "./authorize.ts";
import type { ClientAddresses } from "./client-address.ts";
import { Http1OpeningHandshake, type OpeningHandshake, switchingToWebSocket } from "./opening-handshake.ts";
import { recordRequest } from "./record-request.ts";
import { SocketWatch } from "./routes/socket-watch.ts";

/** Where an accepted connection goes. */
export interface Destination {
  readonly shard: number;
  /** Headers that the actor class asks for, in lower case. */
  readonly requestHeaders: readonly string[];
  handOff(socket: Duplex, head: Buffer, arrival: HandoffEnvelope): Promise<HandoffResult>;
}

/** What is asked of the upgrades on one path. */
export interface HandshakeSettings extends ServerHandshakeOptions {
  readonly handshakeTimeoutMs: number;
  /** Default: everybody gets in, without a session. */
  readonly authorize?: Authorize;
}

/** A place that is kept for a handshake. */
export interface Permit {
  /** Under which the client is counted, if clients are. */
  readonly clientKey: string | undefined;
  /** A destination has it from now on, and counts it. */
  commit(): void;
  /** It is free again. After `handOver`, and a second time, nothing happens. */
  release(): void;
}

export interface AcceptorOwner {
  /** Whether connections go to another thread: then sockets must be movable, and sessions cloneable. */
  readonly isRemote: boolean;
  /** Keeps a place for a handshake that is about to be decided on, or says how it is refused. Absent where there are no limits. */
  readonly admit?: ((request: IncomingMessage) => Permit | UpgradeRefusal) | undefined;
  /** The shard for a new connection; undefined when none takes any now. What it throws is answered with 500 and reported. */
  place(request: IncomingMessage, params: Params): Destination | undefined;
  /** The one destination, where connections stay in the thread of their handshake. */
  readonly here?: Destination;
  /** Finds the client behind trusted proxies. Absent where none are trusted. */
  readonly clients?: ClientAddresses | undefined;
  /** A handshake failed for a reason that is not its peer's. */
  handshakeFailed(error: Error): void;
  /** A handshake was refused, because few descriptors are left. */
  acceptFailed(error: Error): void;
}

export interface AcceptorOptions {
  readonly counters?: UpgradeCounters;
  /** What begins the serial part of ids, so that those of two acceptors differ. Default: nothing. */
  readonly series?: string;
  /** How messages may be compressed. Default: not at all. */
  readonly compression?: CompressionOptions | undefined;
}

/** What a `clientError` event of `node:http` is answered with; every other one with 400. */
const UNPARSED_STATUS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
};

/** No shard takes connections, or the board is closing. */
export const UNAVAILABLE: UpgradeRefusal = { status: 503, headers: { "Retry-After": "1" } };

/** A handshake that was let in. */
interface AcceptedHandshake {
  readonly accepted: Accepted;
  /** The 101, where that is for the shard to write. */
  readonly answer: string;
  readonly request: Pick<RequestHead, "headers"> & { readonly url?: string | undefined };
  readonly peer: { readonly remoteAddress?: string | undefined };
  readonly params: Params;
  readonly session?: unknown;
  /** Under which the client is counted, if clients are. */
  readonly clientKey?: string | undefined;
}

const ADOPTED = { outcome: "adopted" } as const;

const OUTCOMES = { adopted: "accepted", peerGone: "abandoned", failed: "failed" } as const;

const TIMED_OUT = new SwitchboardError("ERR_HANDSHAKE_TIMEOUT", "the handshake took too long");

/**
 * Takes upgrade requests from the check of their headers to a socket in a shard. Runs in the main thread, and in a shard for the
 * handshakes that are its own.
 */
export class Acceptor {
  readonly counters: UpgradeCounters;
  readonly #owner: AcceptorOwner;
  readonly #compression: CompressionOptions | undefined;
  readonly #pending = new Set<Promise<void>>();
  readonly #series: string;
  #serial = 0;
  #closed = false;
  /** Each ends one wait for an `authorize`. */
  readonly #authorizing = new Set<() => void>();

  constructor(
    owner: AcceptorOwner,
    { counters = new UpgradeCounters(), series = "", compression }: AcceptorOptions = {},
  ) {
    this.#owner = owner;
    this.counters = counters;
    this.#series = series;
    this.#compression = compression;
  }

  /** Answers everything with 503 from now on; resolves when the handshakes under way have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const giveUp of this.#authorizing) giveUp();
    await Promise.all(this.#pending);
  }

  /**
   * Takes an upgrade.
   *
   * @param params undefined for a path that isn't the route's: it gets 404
   * @param watch of the socket, from the moment when other code could take it
   */
  accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    params: Params | undefined,
    route: HandshakeSettings,
    watch = new SocketWatch(request, socket),
  ): void {
    this.open(new Http1OpeningHandshake(request, socket, head, watch), params, route);
  }

  /** What requests on a route are held to. */
  checksOf(route: HandshakeSettings): ServerHandshakeOptions {
    return { ...route, compression: this.#compression };
  }

  /** What a handshake of HTTP/1.1 that nobody has to be asked about gets; undefined for one that belongs to `accept`. */
  checkFast(request: RequestHead, checks: ServerHandshakeOptions): Accepted | undefined {
    if (this.#closed) return undefined;
    const checked = checkHandshake(request, checks);
    return checked.ok ? checked : undefined;
  }

  /** Accepts one that was checked, in this turn: `adopt` makes a connection here, or throws and has closed the socket. */
  acceptFast(
    accepted: Accepted,
    request: RequestHead,
    peer: { readonly remoteAddress?: string | undefined },
    params: Params,
    adopt: (arrival: HandoffEnvelope) => void,
  ): void {
    let result: Exclude<HandoffResult, { outcome: "stayed" }> = ADOPTED;
    try {
      const answer = switchingToWebSocket(accepted);
      adopt(this.#arrival(this.#owner.here as Destination, { accepted, answer, request, peer, params }));
    } catch (thrown) {
      result = { outcome: "failed", error: thrown as Error };
    }
    this.#count(result, request);
  }

  /** Takes an opening handshake of any version of HTTP; `params` is undefined for a path that isn't the route's. */
  open(opening: OpeningHandshake, params: Params | undefined, route: HandshakeSettings): void {
    const { socket } = opening;
    // What a socket's error means is told by its close.
    socket.on("error", ignore);
    // A peer may end its direction before it is answered: the sockets of an https server would end ours with that.
    socket.allowHalfOpen = true;
    const timer = setTimeout(() => {
      if (!opening.isTaken) socket.destroy(TIMED_OUT);
    }, route.handshakeTimeoutMs);
    const handshake = this.#handshake(opening, params, route)
      .catch((thrown: unknown) => {
        // The peer first: it is answered whatever listeners do.
        if (!opening.isTaken) this.#refuse(opening, { status: 500 });
        this.#owner.handshakeFailed(thrown instanceof Error ? thrown : reviveError(reportError(thrown)));
      })
      .finally(() => {
        clearTimeout(timer);
        this.#pending.delete(handshake);
      });
    this.#pending.add(handshake);
  }

  /** Answers a request that could not be parsed, as a `clientError` event tells of it. */
  refuseUnparsed(socket: Duplex, { code = "" }: NodeJS.ErrnoException): void {
    if (code === "ERR_HTTP_REQUEST_TIMEOUT") this.refuseTooLate(socket);
    else if (socket.writable) this.refuse(socket, { status: UNPARSED_STATUS[code] ?? 400 });
    else socket.destroy();
  }

  /** Answers a request that didn't come to its end in time. */
  refuseTooLate(socket: Duplex): void {
    this.counters.add("timedOut");
    if (socket.writable) refuseUpgrade(socket, { status: 408 });
    else socket.destroy();
  }

  async #handshake(opening: OpeningHandshake, params: Params | undefined, route: HandshakeSettings): Promise<void> {
    if (opening.turn !== undefined) await opening.turn;
    if (this.#isOver(opening)) return;
    if (params === undefined) return this.#refuse(opening, { status: 404 });
    if (this.#closed) return this.#refuse(opening, UNAVAILABLE);
    const checked = opening.check(this.checksOf(route));
    if (!checked.ok) {
      const { status, reason, headers = {} } = checked;
      return this.#refuse(opening, { status, headers, body: `${reason}\n` });
    }
    if (descriptorRoom(opening.socket) !== "enough") {
      this.#refuse(opening, UNAVAILABLE);
      return this.#owner.acceptFailed(outOfDescriptors());
    }
    const permit = this.#owner.admit?.(opening.request);
    if (permit === undefined) return this.#decide(opening, params, route, checked);
    if ("status" in permit) return this.#refuse(opening, permit);
    try {
      return await this.#decide(opening, params, route, checked, permit);
    } finally {
      permit.release();
    }
  }

  async #decide(
    opening: OpeningHandshake,
    params: Params,
    route: HandshakeSettings,
    checked: Accepted,
    permit?: Permit,
  ): Promise<void> {
    const { request, socket, head } = opening;
    const verdict = await this.#verdict(request, socket, params, route);
    if (this.#isOver(opening)) return;
    if (verdict?.status !== undefined) return this.#refuse(opening, verdict);
    if (verdict !== undefined && this.#owner.isRemote) checkCloneable(verdict.session);
    const destination = this.#closed ? undefined : this.#owner.place(request, params);
    if (verdict === undefined || destination === undefined) {
      return this.#refuse(opening, UNAVAILABLE);
    }

    const { session, headers } = verdict;
    const clientKey = permit?.clientKey;
    const answer = opening.accept(checked, headers);
    const handshake = { accepted: checked, answer, request, peer: request.socket, params, session, clientKey };
    const arrival = this.#arrival(destination, handshake);
    const handoff = destination.handOff(socket, head, arrival);
    permit?.commit();
    const result = await handoff;
    if (result.outcome === "stayed") this.#withdraw(opening, result.socket, result.error);
    else this.#count(result, request);
  }

  /** Answers a peer whose socket couldn't leave this thread. */
  #withdraw(opening: OpeningHandshake, socket: Duplex, error: Error): void {
    if (opening.withdraw(UNAVAILABLE, socket)) this.#countRefused(UNAVAILABLE, opening.request);
    else this.#countOutcome("failed", opening.request);
    this.#owner.handshakeFailed(error);
  }

  #arrival({ shard, requestHeaders }: Destination, handshake: AcceptedHandshake): HandoffEnvelope {
    const { accepted, answer, request, peer, params, session, clientKey } = handshake;
    const { url, headers, clientAddress } = recordRequest(request, peer, requestHeaders, this.#owner.clients);
    const id = `${shard}-${this.#series}${this.#serial++}`;
    const identity = { id, session, params, protocol: accepted.protocol, url, headers, clientAddress };
    return { identity, answer, deflate: accepted.deflate?.agreement, clientKey };
  }

  /** What `authorize` says; undefined when nobody waits for it any more, because the socket or the board was closed. */
  #verdict(
    request: IncomingMessage,
    socket: Duplex,
    params: Params,
    { authorize }: HandshakeSettings,
  ): Promise<Verdict | undefined> {
    if (authorize === undefined) return Promise.resolve({ session: undefined });
    return new Promise((resolve, reject) => {
      const giveUp = (): void => resolve(undefined);
      socket.once("close", giveUp);
      this.#authorizing.add(giveUp);
      decide(authorize, request, params)
        .then(resolve, reject)
        .finally(() => {
          socket.off("close", giveUp);
          this.#authorizing.delete(giveUp);
        });
    });
  }

  /** Whether there is nobody to answer any more, because the socket was closed or other code took it. Counts and tells that. */
  #isOver(opening: OpeningHandshake): boolean {
    const { request, socket } = opening;
    if (opening.isTaken) {
      this.#count({ outcome: "failed", error: takenError(request) }, request);
      return true;
    }
    if (!socket.destroyed && !socket.writableEnded) return false;
    this.counters.add(socket.errored === TIMED_OUT ? "timedOut" : "abandoned");
    return true;
  }

  #count(result: Exclude<HandoffResult, { outcome: "stayed" }>, request: UpgradeRequest): void {
    this.#countOutcome(OUTCOMES[result.outcome], request);
    if (result.outcome === "failed") this.#owner.handshakeFailed(result.error);
  }

  #countOutcome(outcome: UpgradeOutcome, request: UpgradeRequest): void {
    this.counters.add(outcome);
    if (upgradeChannel.hasSubscribers) upgradeChannel.publish({ request, outcome });
  }

  #refuse(opening: OpeningHandshake, refusal: UpgradeRefusal): void {
    if (opening.socket.destroyed) return;
    opening.refuse(refusal);
    this.#countRefused(refusal, opening.request);
  }

  /** Answers on a socket without a request that could be read, and counts that. */
  refuse(socket: Duplex, refusal: UpgradeRefusal): void {
    if (socket.destroyed) return;
    refuseUpgrade(socket, refusal);
    this.#countRefused(refusal, undefined);
  }

  #countRefused({ status }: UpgradeRefusal, request: UpgradeRequest | undefined): void {
    this.counters.addRefused(status);
    if (upgradeChannel.hasSubscribers) upgradeChannel.publish({ request, outcome: "refused", status });
  }
}

function takenError({ url }: IncomingMessage): SwitchboardError {
  const message = `another listener of this server took the upgrade of ${url}: give the board a path of its own, and let other listeners leave that path alone`;
  return new SwitchboardError("ERR_UPGRADE_TAKEN", message);
}

function ignore(): void {}
