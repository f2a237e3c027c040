import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Params } from "../actor/actor.ts";
import { reportError, reviveError, SwitchboardError } from "../errors.ts";
import { checkHandshake } from "../handshake/server.ts";
import type { CompressionOptions } from "../protocol/compression.ts";
import type { Arrival } from "../shard/connection.ts";
import type { HandoffResult } from "../transport/handoff.ts";
import { refuseUpgrade, switchingProtocols, type UpgradeRefusal } from "../upgrade/response.ts";
import { type Admission, decide } from "./authorize.ts";
import type { RouteSettings } from "./options.ts";

/** Where an accepted connection goes. */
export interface Destination {
  readonly shard: number;
  handOff(socket: Duplex, head: Buffer, arrival: Arrival): Promise<HandoffResult>;
}

export interface AcceptorOwner {
  /** The shard for a new connection; undefined when none takes any now. */
  place(): Destination | undefined;
  /** A handshake failed for a reason that is not its peer's. */
  handshakeFailed(error: Error): void;
}

/** How upgrades ended. All only grow. */
export interface UpgradeCounts {
  /** Taken over by a shard. */
  accepted: number;
  /** Answered with something else than 101, by status. */
  refused: Record<number, number>;
  /** Peers that left before they were answered. */
  abandoned: number;
  /** Handshakes that took too long. */
  timedOut: number;
  /** Closed without an answer: the socket couldn't be moved, or its shard died. */
  failed: number;
}

const TIMED_OUT = new SwitchboardError("transport", "ERR_HANDSHAKE_TIMEOUT", "the handshake took too long");

/** Takes upgrade requests from the check of their headers to a socket in a shard. */
export class Acceptor {
  readonly counts: UpgradeCounts = { accepted: 0, refused: {}, abandoned: 0, timedOut: 0, failed: 0 };
  readonly #owner: AcceptorOwner;
  readonly #compression: CompressionOptions | undefined;
  readonly #pending = new Set<Promise<void>>();
  #serial = 0;
  #closed = false;
  /** Each ends one wait for an `authorize`. */
  readonly #authorizing = new Set<() => void>();

  /** @param compression how messages may be compressed; undefined: not at all */
  constructor(owner: AcceptorOwner, compression?: CompressionOptions) {
    this.#owner = owner;
    this.#compression = compression;
  }

  /** Answers everything with 503 from now on; resolves when the handshakes under way have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const giveUp of this.#authorizing) giveUp();
    await Promise.all(this.#pending);
  }

  accept(request: IncomingMessage, socket: Duplex, head: Buffer, params: Params, route: RouteSettings): void {
    // What a socket's error means is told by its close.
    socket.on("error", ignore);
    const timer = setTimeout(() => socket.destroy(TIMED_OUT), route.handshakeTimeoutMs);
    const handshake = this.#handshake(request, socket, head, params, route)
      .catch((thrown: unknown) => {
        // The peer first: it is answered whatever listeners do.
        this.#refuse(socket, { status: 500 });
        this.#owner.handshakeFailed(thrown instanceof Error ? thrown : reviveError(reportError(thrown)));
      })
      .finally(() => {
        clearTimeout(timer);
        this.#pending.delete(handshake);
      });
    this.#pending.add(handshake);
  }

  async #handshake(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    params: Params,
    route: RouteSettings,
  ): Promise<void> {
    if (this.#closed) return this.#refuse(socket, { status: 503 });
    const checked = checkHandshake(request, { ...route, compression: this.#compression });
    if (!checked.ok) {
      const { status, reason, headers = {} } = checked;
      return this.#refuse(socket, { status, headers, body: `${reason}\n` });
    }

    const verdict = await this.#verdict(request, socket, params, route);
    if (socket.destroyed) return this.#countClosed(socket);
    if (verdict !== undefined && "status" in verdict) return this.#refuse(socket, verdict);
    const destination = this.#closed ? undefined : this.#owner.place();
    if (verdict === undefined || destination === undefined) {
      return this.#refuse(socket, { status: 503, headers: { "Retry-After": "1" } });
    }

    const { accept, protocol, deflate } = checked;
    const answer = switchingProtocols({
      Upgrade: "websocket",
      Connection: "Upgrade",
      "Sec-WebSocket-Accept": accept,
      ...(protocol !== "" && { "Sec-WebSocket-Protocol": protocol }),
      ...(deflate !== undefined && { "Sec-WebSocket-Extensions": deflate.header }),
    });
    const id = `${destination.shard}-${this.#serial++}`;
    const { session } = verdict;
    const identity = { id, session, params, protocol };
    const arrival = { identity, answer, deflate: deflate?.agreement };
    this.#count(await destination.handOff(socket, head, arrival));
  }

  /** What `authorize` says; undefined when nobody waits for it any more, because the socket or the board was closed. */
  #verdict(
    request: IncomingMessage,
    socket: Duplex,
    params: Params,
    { authorize }: RouteSettings,
  ): Promise<Admission<unknown> | UpgradeRefusal | undefined> {
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

  #countClosed(socket: Duplex): void {
    this.counts[socket.errored === TIMED_OUT ? "timedOut" : "abandoned"]++;
  }

  #count(result: HandoffResult): void {
    if (result.outcome === "adopted") {
      this.counts.accepted++;
    } else if (result.outcome === "peerGone") {
      this.counts.abandoned++;
    } else {
      this.counts.failed++;
      this.#owner.handshakeFailed(result.error);
    }
  }

  #refuse(socket: Duplex, refusal: UpgradeRefusal): void {
    if (socket.destroyed) return;
    refuseUpgrade(socket, refusal);
    this.counts.refused[refusal.status] = (this.counts.refused[refusal.status] ?? 0) + 1;
  }
}

function ignore(): void {}
