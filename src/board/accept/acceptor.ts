/**
 * Takes upgrade requests from the check of their headers to the handoff of their socket. Runs in the main thread, and
 * in each shard for the handshakes that the shard does itself.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { reportError, reviveError, SwitchboardError } from "../../errors.ts";
import type { Params } from "../../runtime/actor/context/actor-context.ts";
import { UpgradeCounters } from "../../runtime/stats/upgrade-counters.ts";
import type { RequestHead } from "../../wire/handshake/request-head.ts";
import { type Accepted, checkHandshake, type ServerHandshakeOptions } from "../../wire/handshake/server.ts";
import type { CompressionOptions } from "../../wire/protocol/deflate/compression.ts";
import { noop } from "../../wire/protocol/empty.ts";
import { descriptorRoom, outOfDescriptors } from "../../wire/transport/descriptors.ts";
import { flushed } from "../../wire/transport/handoff.ts";
import { refuseUpgrade, type UpgradeRefusal } from "../../wire/upgrade/response.ts";
import type { ActorName, HandoffEnvelope } from "../connection/connection-host.ts";
import type { AcceptorOptions, AcceptorOwner, Destination, HandshakeSettings } from "./acceptor-owner.ts";
import type { Permit } from "./admission-control.ts";
import { checkCloneable, PendingVerdicts } from "./authorize.ts";
import { HeldUpgrades } from "./held-upgrades.ts";
import { LEFT_BEHIND } from "./late-upgrade.ts";
import { Http1OpeningHandshake, type OpeningHandshake, switchingToWebSocket } from "./opening-handshake.ts";
import { recordRequest } from "./record-request.ts";
import { SocketWatch, takenError } from "./routes/socket-watch.ts";
import { UpgradeOutcomes } from "./upgrade-outcomes.ts";

/** Statuses of the answers to `clientError` events of `node:http`, by error code. Other codes get 400. */
const UNPARSED_STATUS: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
};

/** The refusal when no shard takes connections, or the board is closing. */
export const UNAVAILABLE: UpgradeRefusal = { status: 503, headers: { "Retry-After": "1" } };

/** A handshake that was let in. */
interface AcceptedHandshake {
  readonly accepted: Accepted;
  /** The 101 where the shard writes it, in latin1; else "". */
  readonly answer: string;
  readonly request: Pick<RequestHead, "headers"> & { readonly url?: string | undefined };
  readonly peer: { readonly remoteAddress?: string | undefined };
  readonly params: Params;
  readonly actor: ActorName;
  readonly session?: unknown;
  /** The key under which the client is counted; undefined where clients aren't counted. */
  readonly clientKey?: string | undefined;
}

/** Time in ms between two looks at the handshakes under way. */
const POLL_MS = 5;

const TIMED_OUT = new SwitchboardError("ERR_HANDSHAKE_TIMEOUT", "the handshake took too long");

export class Acceptor {
  readonly outcomes: UpgradeOutcomes;
  readonly #owner: AcceptorOwner;
  readonly #compression: CompressionOptions | undefined;
  readonly #pending = new Set<Promise<void>>();
  readonly #addressPrefix: () => string;
  readonly #series: string;
  #serial = 0;
  /** Shard and address prefix of the newest id, and what that id begins with: ids share the text. */
  #newest = { shard: -1, addressPrefix: "", text: "" };
  #closed = false;
  readonly #held: HeldUpgrades;
  /** Number of handshakes that wait for the outcome of a takeover. */
  #waiting = 0;
  readonly #verdicts = new PendingVerdicts();

  constructor(
    owner: AcceptorOwner,
    {
      counters = new UpgradeCounters(),
      addressPrefix = () => "",
      series = "",
      compression,
      held = new HeldUpgrades(),
    }: AcceptorOptions = {},
  ) {
    this.#owner = owner;
    this.outcomes = new UpgradeOutcomes(counters, (error) => owner.handshakeFailed(error));
    this.#addressPrefix = addressPrefix;
    this.#series = series;
    this.#compression = compression;
    this.#held = held;
  }

  get counters(): UpgradeCounters {
    return this.outcomes.counters;
  }

  /** Resolves when no handshake is under way but those that wait for the outcome of a takeover, or after `limitMs`. */
  async quiet(limitMs: number): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (this.#pending.size > this.#waiting && performance.now() < deadline) await delay(POLL_MS);
  }

  /** Answers everything with 503 from now on; resolves when the handshakes under way have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#verdicts.giveUp();
    await Promise.all(this.#pending);
  }

  /**
   * Takes an upgrade over HTTP/1.1.
   *
   * @param params undefined for a path that isn't the route's: the answer is 404
   * @param watch of the socket, begun when other code could first take the socket. Default: one that begins now
   */
  accept(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    params: Params | undefined,
    settings: HandshakeSettings,
    watch = new SocketWatch(request, socket),
  ): void {
    this.run(new Http1OpeningHandshake(request, socket, head, watch), params, settings);
  }

  /** Counts and reports an upgrade for this board that another listener or another board took. */
  upgradeTaken(request: IncomingMessage): void {
    this.outcomes.handedOff({ outcome: "failed", error: takenError(request) }, request);
  }

  /** Runs an opening handshake of any version of HTTP. `params` is undefined for a path that isn't the route's. */
  run(handshake: OpeningHandshake, params: Params | undefined, settings: HandshakeSettings): void {
    const { socket } = handshake;
    // The socket's close follows its error.
    socket.on("error", noop);
    // A peer may end its direction before it is answered: the sockets of an https server would end ours with that.
    socket.allowHalfOpen = true;
    const timer = setTimeout(() => {
      if (!handshake.isTaken) socket.destroy(TIMED_OUT);
    }, settings.handshakeTimeoutMs);
    const pending = this.#check(handshake, params, settings)
      .catch((thrown: unknown) => {
        // The answer goes first, because a listener of the report may throw.
        if (!handshake.isTaken) this.#refuse(handshake, { status: 500 });
        this.#owner.handshakeFailed(thrown instanceof Error ? thrown : reviveError(reportError(thrown)));
      })
      .finally(() => {
        clearTimeout(timer);
        this.#pending.delete(pending);
      });
    this.#pending.add(pending);
  }

  /** Returns all checks of the requests on a path: its own, and the compression that the board offers. */
  checksOf(settings: HandshakeSettings): ServerHandshakeOptions {
    return { ...settings, compression: this.#compression };
  }

  /**
   * Checks a simple request over HTTP/1.1 that needs no `authorize`. Returns undefined for a request that `accept` must
   * answer.
   */
  checkFast(request: RequestHead, checks: ServerHandshakeOptions): Accepted | undefined {
    if (this.#closed) return undefined;
    const checked = checkHandshake(request, checks);
    return checked.ok ? checked : undefined;
  }

  /** Returns the envelope of a request that passed `checkFast`. The caller makes the connection, in the same turn. */
  acceptFast(
    accepted: Accepted,
    request: RequestHead,
    peer: { readonly remoteAddress?: string | undefined },
    params: Params,
    actor: ActorName,
    clientKey: string | undefined,
  ): HandoffEnvelope {
    const answer = switchingToWebSocket(accepted);
    return this.#envelope(this.#owner.here as Destination, {
      accepted,
      answer,
      request,
      peer,
      params,
      actor,
      clientKey,
    });
  }

  /** Answers a request that could not be parsed, from the arguments of a `clientError` event. */
  refuseUnparsed(socket: Duplex, { code = "" }: NodeJS.ErrnoException): void {
    if (code === "ERR_HTTP_REQUEST_TIMEOUT") this.refuseTooLate(socket);
    else if (socket.writable) this.refuse(socket, { status: UNPARSED_STATUS[code] ?? 400 });
    else socket.destroy();
  }

  /** Answers with 408 a request whose end didn't come in time. */
  refuseTooLate(socket: Duplex): void {
    this.counters.add("timedOut");
    if (socket.writable) refuseUpgrade(socket, { status: 408 });
    else socket.destroy();
  }

  /** Checks a request by its headers, and keeps a place for it under the limits. */
  async #check(handshake: OpeningHandshake, params: Params | undefined, settings: HandshakeSettings): Promise<void> {
    if (handshake.turn !== undefined) await handshake.turn;
    if (this.#isOver(handshake)) return;
    if (params === undefined) return this.#refuse(handshake, { status: 404 });
    if (!this.#held.isOpen && (await this.#isPassedOn(handshake))) return;
    if (this.#closed) return this.#refuse(handshake, UNAVAILABLE);
    const checked = handshake.check(this.checksOf(settings));
    if (!checked.ok) {
      const { status, reason, headers = {} } = checked;
      return this.#refuse(handshake, { status, headers, body: `${reason}\n` });
    }
    if (descriptorRoom(handshake.socket) !== "enough") {
      this.#refuse(handshake, UNAVAILABLE);
      return this.#owner.acceptFailed(outOfDescriptors());
    }
    const permit = this.#owner.admit?.(handshake.request);
    if (permit === undefined) return this.#decide(handshake, params, settings, checked);
    if ("status" in permit) return this.#refuse(handshake, permit);
    try {
      return await this.#decide(handshake, params, settings, checked, permit);
    } finally {
      permit.release();
    }
  }

  /** Asks `authorize`, picks a shard, and hands the socket to the shard. */
  async #decide(
    handshake: OpeningHandshake,
    params: Params,
    settings: HandshakeSettings,
    checked: Accepted,
    permit?: Permit,
  ): Promise<void> {
    const { request, socket, head } = handshake;
    const verdict = await this.#verdicts.ask(settings.authorize, request, socket, params);
    if (this.#isOver(handshake)) return;
    // A takeover has begun meanwhile, and its connections are stopped. A replaced thread moves connections that open.
    if (!this.#held.isOpen && this.#held.phase !== "retired" && (await this.#isPassedOn(handshake))) return;
    if (verdict?.status !== undefined) return this.#refuse(handshake, verdict);
    if (verdict !== undefined && this.#owner.isRemote) checkCloneable(verdict.session);
    const destination = this.#closed ? undefined : this.#owner.place(request, params, settings.actor);
    if (verdict === undefined || destination === undefined) {
      return this.#refuse(handshake, UNAVAILABLE);
    }

    const { session, headers } = verdict;
    const clientKey = permit?.clientKey;
    const answer = handshake.accept(checked, headers);
    const envelope = this.#envelope(destination, {
      accepted: checked,
      answer,
      request,
      peer: request.socket,
      params,
      actor: settings.actor,
      session,
      clientKey,
    });
    const handoff = destination.handOff(socket, head, envelope);
    permit?.commit();
    const result = await handoff;
    if (result.outcome === "stayed") this.#withdraw(handshake, result.socket, result.error);
    else this.outcomes.handedOff(result, request);
  }

  /**
   * Waits for the outcome of a takeover, and passes the upgrade on if another gets it. Returns true if the upgrade is
   * nobody's here any more.
   */
  async #isPassedOn(handshake: OpeningHandshake): Promise<boolean> {
    const { socket, request } = handshake;
    this.#waiting++;
    await this.#held.settled();
    this.#waiting--;
    if (this.#held.isPassing && socket.writableLength > 0) await flushed(socket);
    if (this.#isOver(handshake)) return true;
    if (!this.#held.isPassing) return false;
    if (this.#owner.passOn?.(handshake) === true) this.outcomes.passedOn(request);
    else if (this.#held.phase === "retired") return false;
    else this.#refuse(handshake, LEFT_BEHIND);
    return true;
  }

  /** Answers a peer whose socket couldn't leave this thread. `socket` replaces the handshake's own socket. */
  #withdraw(handshake: OpeningHandshake, socket: Duplex, error: Error): void {
    if (handshake.withdraw(UNAVAILABLE, socket)) this.outcomes.refused(UNAVAILABLE, handshake.request);
    else this.outcomes.ended("failed", handshake.request);
    this.#owner.handshakeFailed(error);
  }

  #idPrefix(shard: number): string {
    const addressPrefix = this.#addressPrefix();
    if (this.#newest.shard !== shard || this.#newest.addressPrefix !== addressPrefix) {
      this.#newest = { shard, addressPrefix, text: `${addressPrefix}${shard}-${this.#series}` };
    }
    return this.#newest.text;
  }

  #envelope(destination: Destination, handshake: AcceptedHandshake): HandoffEnvelope {
    const { accepted, answer, request, peer, params, actor, session, clientKey } = handshake;
    const requestHeaders = destination.requestHeadersOf(actor);
    const { url, headers, clientAddress } = recordRequest(request, peer, requestHeaders, this.#owner.clients);
    const id = `${this.#idPrefix(destination.shard)}${this.#serial++}`;
    const plain = { id, session, params, protocol: accepted.protocol, url, headers, clientAddress };
    const identity = actor === undefined ? plain : { ...plain, actor };
    return { identity, answer, deflate: accepted.deflate?.agreement, clientKey };
  }

  /**
   * Returns true when nobody is to be answered any more, because the socket was closed or other code took it. Counts
   * and reports that.
   */
  #isOver({ request, socket, isTaken }: OpeningHandshake): boolean {
    if (isTaken) {
      this.upgradeTaken(request);
      return true;
    }
    if (!socket.destroyed && !socket.writableEnded) return false;
    this.counters.add(socket.errored === TIMED_OUT ? "timedOut" : "abandoned");
    return true;
  }

  #refuse(handshake: OpeningHandshake, refusal: UpgradeRefusal): void {
    if (handshake.socket.destroyed) return;
    handshake.refuse(refusal);
    this.outcomes.refused(refusal, handshake.request);
  }

  /** Answers on a socket without a request that could be read, and counts the refusal. */
  refuse(socket: Duplex, refusal: UpgradeRefusal): void {
    if (socket.destroyed) return;
    refuseUpgrade(socket, refusal);
    this.outcomes.refused(refusal, undefined);
  }
}
