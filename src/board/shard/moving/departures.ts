/**
 * Sends suspended connections to other shards: all that leave for the same shard in one tick go together. `Mover` has
 * one `Departures`.
 */
import { setTimeout as delay } from "node:timers/promises";
import { serialize } from "node:v8";
import type { AskedBy } from "../../../runtime/actor/mail.ts";
import { checkWaiting, type WaitingState } from "../../../runtime/actor/moving/cell-state.ts";
import type { Departure, Ticket } from "../../../runtime/bus/moving/move.ts";
import type { LeavingActors } from "../../../runtime/mail/travelling-actors.ts";
import { within } from "../../../runtime/scheduling/within.ts";
import { hasDescriptor } from "../../../wire/transport/descriptors.ts";
import type { ThreadWay } from "../../../wire/transport/tcp-sockets.ts";
import type { Detached } from "../../../wire/transport/transport.ts";
import type { Connection } from "../../connection/connection.ts";
import type { TopicsLeaver } from "../../connection/subscriptions.ts";
import type { Arrivals } from "./arrivals.ts";
import type { ConnectionMessage, Luggage, RelayedConnectionMessage } from "./messages.ts";
import { type MoveFailure, notCloneable } from "./move-failures.ts";
import type { MoveReports } from "./move-reports.ts";
import type { MoverOwner } from "./mover-owner.ts";
import type { ResumptionEnded, Resumptions } from "./resumptions.ts";

/** Time that the main thread has to keep what it has for relayed connections, in ms. After it they stay. */
const HOLD_LIMIT_MS = 5_000;

/** Time that the other threads have to take the publishes of actors that leave, in ms. After it these actors stay. */
const ARRIVAL_LIMIT_MS = 5_000;
/** Time after which a move is tried again that was called off because threads have begun or ended, in ms. */
const TRY_AGAIN_MS = 10;

export type MoveOutcome = "moved" | MoveFailure;

/** A suspended connection. */
export interface Leaving {
  readonly connection: Connection;
  /** Result of `suspended`, as bytes. */
  readonly state: Uint8Array;
  readonly done: (outcome: MoveOutcome) => void;
  /** Called after `done` if the connection has left. */
  readonly resumed: ResumptionEnded;
}

type LeavingWithTopics = Leaving & TopicsLeaver;

/** Parts of `Mover` that departures use. */
export interface DeparturesParts {
  readonly arrivals: Arrivals;
  readonly reports: MoveReports;
  readonly resumptions: Resumptions;
  /** Returns the way to another shard, by the life of its thread. */
  readonly wayTo: (life: number) => ThreadWay | undefined;
}

export class Departures {
  readonly #owner: MoverOwner;
  readonly #parts: DeparturesParts;
  /** Connections that leave at the end of the tick, by the life of the thread that takes them. */
  readonly #byLife = new Map<number, Leaving[]>();

  constructor(owner: MoverOwner, parts: DeparturesParts) {
    this.#owner = owner;
    this.#parts = parts;
  }

  /** Sends a suspended connection away at the end of the tick, or lets it go on here. */
  add(life: number, one: Leaving): void {
    if (this.#byLife.size === 0) setImmediate(this.#departAll);
    const leaving = this.#byLife.get(life);
    if (leaving === undefined) this.#byLife.set(life, [one]);
    else leaving.push(one);
  }

  readonly #departAll = (): void => {
    const all = [...this.#byLife];
    this.#byLife.clear();
    for (const [life, leaving] of all) void this.#depart(life, leaving);
  };

  /** Sends suspended connections away together, or lets them go on here. */
  async #depart(life: number, leaving: readonly Leaving[]): Promise<void> {
    const leavers = leaving.map(withTopics);
    const alone = leavers.filter(({ subscriptions, memberships }) => subscriptions.length + memberships.length === 0);
    const subscribed = leavers.filter((leaver) => !alone.includes(leaver));
    const mail = this.#owner.mail.leaveFor(
      life,
      leaving.map(({ connection }) => connection.address),
    );
    const departure = subscribed.length === 0 ? undefined : this.#owner.leaveFor(life, subscribed);
    /** Connections of which it is known whether they have left. */
    const decided = new Set<Connection>();
    let hasRoom = false;
    let isHeard = true;
    const send = (one: Leaving, ticket: Ticket | undefined): boolean => {
      const { connection } = one;
      const mayGo = (connection.isRelayed || hasRoom) && (isHeard || !connection.hasSpoken);
      const outcome = this.#send(one, mayGo ? this.#parts.wayTo(life) : undefined, life, ticket, mail);
      decided.add(connection);
      if (outcome !== "moved") mail.stays(connection.address);
      one.done(outcome);
      return outcome === "moved";
    };
    const relayed = leaving.filter(({ connection }) => connection.isRelayed);
    const all = [
      mail.ready,
      relayed.length === 0 ? undefined : allHeld(relayed),
      leaving.some(({ connection }) => connection.hasSpoken) ? this.#allHeard() : true,
    ] as const;
    isHeard = (await Promise.all(all))[2];
    hasRoom = relayed.length === leaving.length || hasDescriptor();
    for (const one of alone) send(one, undefined);
    if (departure !== undefined) await this.#commit(departure, life, subscribed, send);
    for (const { connection, done } of subscribed) {
      if (decided.has(connection)) continue;
      mail.stays(connection.address);
      done(connection.isSuspended ? "shard" : "closing");
      connection.stay();
    }
  }

  /**
   * Resolves with true when the publishes and the mail of this thread have arrived everywhere: those that the actors
   * make in the other thread must not overtake them. With false if a thread takes too long.
   */
  #allHeard(): Promise<boolean> {
    return within(ARRIVAL_LIMIT_MS, this.#owner.publishesArrived());
  }

  /** Sends connections with topics away. Begins anew if threads have begun or ended meanwhile. */
  async #commit(
    departure: Departure<LeavingWithTopics>,
    life: number,
    leavers: readonly LeavingWithTopics[],
    send: (one: Leaving, ticket: Ticket) => boolean,
  ): Promise<void> {
    const deadline = performance.now() + ARRIVAL_LIMIT_MS;
    for (let current = departure; ; ) {
      try {
        await current.ready;
        current.commit(send);
      } catch {
        // Called off: the other thread has ended or has no room, or a thread doesn't answer.
      }
      if (!current.mayTryAgain || performance.now() > deadline) return;
      await delay(TRY_AGAIN_MS);
      current = this.#owner.leaveFor(life, leavers.filter(({ connection }) => connection.isSuspended).map(withTopics));
    }
  }

  /**
   * Sends one suspended connection away, or lets it go on here. Returns an error for what can't be cloned.
   *
   * @param way undefined: the connection can't go
   */
  #send(
    { connection, state: bytes, resumed }: Leaving,
    way: ThreadWay | undefined,
    life: number,
    ticket: Ticket | undefined,
    mail: LeavingActors,
  ): MoveOutcome {
    const { isSuspended } = connection;
    const parts = isSuspended && way !== undefined ? connection.takeApart(bytes, ticket) : undefined;
    if (parts === undefined || way === undefined) {
      connection.stay();
      return isSuspended && way === undefined ? "shard" : "closing";
    }
    const { connections } = this.#owner;
    const openedAt = connections.openedAt(connection) ?? Date.now();
    connections.delete(connection);
    const hops = this.#parts.arrivals.takeHops(connection) + 1;
    const clientKey = this.#owner.departed(connection);
    const { state, detached } = parts;
    const luggage: Luggage = { openedAt, clientKey, hops };
    const stay = (): void => this.#parts.arrivals.takeBack(state, detached, { ...luggage, hops: hops - 1 });
    try {
      checkWaiting(state.cell.waiting);
      if (!this.#post(way, detached, { state: serialize(state), ...luggage })) {
        stay();
        return "shard";
      }
    } catch (cause) {
      // A mail that `structuredClone` can copy, and that `v8.serialize` can't write or changes.
      stay();
      return notCloneable(cause);
    }
    mail.left(connection.address, asksIn(state.cell.waiting));
    this.#parts.reports.departed({ address: connection.address, to: life, hops, clientKey });
    this.#parts.resumptions.expect({ address: connection.address, hops }, life, resumed);
    return "moved";
  }

  /** Posts a connection that was taken apart. Returns false if the socket stays here. */
  #post(way: ThreadWay, detached: Detached, luggage: Luggage & Pick<ConnectionMessage, "state">): boolean {
    const transfer = [luggage.state.buffer as ArrayBuffer];
    if ("socket" in detached) {
      const message: ConnectionMessage = { kind: "connection", socket: detached.socket, ...luggage };
      return this.#owner.sockets.post(way, message, transfer);
    }
    const message: RelayedConnectionMessage = { kind: "relayedConnection", stream: detached.stream, ...luggage };
    // Bytes that the stream has written are on their way before the other thread takes the stream.
    this.#owner.relay.flush();
    way.port.postMessage(message, transfer);
    return true;
  }
}

function withTopics(one: Leaving): LeavingWithTopics {
  return { ...one, ...one.connection.leaver };
}

/** Returns the asks that wait in a mailbox. */
function asksIn(waiting: readonly WaitingState[]): AskedBy[] {
  return waiting.flatMap((one) => (one.kind === "mail" && one.askedBy !== undefined ? [one.askedBy] : []));
}

/** Resolves when relayed connections may be taken apart, or the main thread has taken too long: then they stay. */
function allHeld(leaving: readonly Leaving[]): Promise<boolean> {
  return within(HOLD_LIMIT_MS, Promise.all(leaving.map(({ connection }) => connection.hold())), { ref: false });
}
