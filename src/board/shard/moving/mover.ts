/**
 * Moves the connections of one shard to other shards, and takes those that come. `Shard` has one. The README has the
 * steps and the failures.
 */
import type { Address } from "../../../runtime/actor/address.ts";
import type { StayReason } from "../../../runtime/actor/moving/suspension.ts";
import { transferable } from "../../../wire/node-internals/net.ts";
import type { ThreadWay } from "../../../wire/transport/tcp-sockets.ts";
import type { GivenServer } from "../../accept/sockets/socket-acceptor.ts";
import type { Connection } from "../../connection/connection.ts";
import { Arrivals } from "./arrivals.ts";
import { Departures, type MoveOutcome } from "./departures.ts";
import type {
  ConnectionMessage,
  ListeningServerMessage,
  MoveCounts,
  MoveQuery,
  RelayedConnectionMessage,
  ResumptionsMessage,
} from "./messages.ts";
import { reportMoveFailure, stayReasonOf } from "./move-failures.ts";
import { MoveReports } from "./move-reports.ts";
import { MoveTally } from "./move-tally.ts";
import type { MoverOwner } from "./mover-owner.ts";
import { type ResumptionEnded, Resumptions } from "./resumptions.ts";
import { type SuspensionLimit, suspend } from "./suspend.ts";

/**
 * Number of connections of a shard that are suspended, or about to be, at the same time. As many leave in one turn, and
 * arrive in one, which takes about 2 ms on either side.
 */
const MAX_TOGETHER = 32;

export class Mover {
  /** Puts together what comes from another shard, and for `Passing` what comes from another process. */
  readonly arrivals: Arrivals;
  readonly #owner: MoverOwner;
  readonly #departures: Departures;
  readonly #reports: MoveReports;
  readonly #resumptions: Resumptions;
  /** The ways to the other shards, by the life of their thread. */
  readonly #ways = new Map<number, ThreadWay>();
  /** Life of the thread that takes the place of this one. */
  #successor: number | undefined;
  /** Number of connections that are being suspended, and moves that wait for their turn, the oldest first. */
  #suspending = 0;
  readonly #waiting: (() => void)[] = [];
  /** Connections that are being suspended, or wait for it, with the outcomes of their moves. */
  readonly #leaving = new Map<Connection, Promise<"moved" | StayReason>>();

  constructor(owner: MoverOwner) {
    this.#owner = owner;
    const wayTo = (life: number): ThreadWay | undefined => this.#ways.get(life);
    const reports = new MoveReports((report) => owner.report(report));
    const resumptions = new Resumptions((life) => wayTo(life)?.port);
    this.arrivals = new Arrivals(owner, reports, resumptions);
    this.#departures = new Departures(owner, { arrivals: this.arrivals, reports, resumptions, wayTo });
    this.#reports = reports;
    this.#resumptions = resumptions;
  }

  /** Connects the shard to another one, over the port that the bus and the mail use as well. */
  addLink(way: ThreadWay, life: number): void {
    this.#ways.set(life, way);
    const { port } = way;
    port.on("message", (message: { readonly kind: string }) => {
      if (message.kind === "connection" || message.kind === "relayedConnection") {
        this.arrivals.arrive(message as ConnectionMessage | RelayedConnectionMessage, life);
      } else if (message.kind === "listeningServer") {
        this.#owner.serverArrived(message as ListeningServerMessage);
      } else if (message.kind === "resumptions") {
        this.#resumptions.told(message as ResumptionsMessage);
      }
    });
    port.on("close", () => {
      this.#ways.delete(life);
      this.#resumptions.lifeEnded(life);
    });
  }

  /** Another thread takes the place of this one: connections that open from now on go there at once. */
  retire(to: number, servers: readonly GivenServer[]): void {
    this.#successor = to;
    const port = this.#ways.get(to)?.port;
    for (const given of servers) {
      const message: ListeningServerMessage = { kind: "listeningServer", ...given };
      if (port === undefined) given.server.close();
      else port.postMessage(message, [transferable(given.server)]);
    }
  }

  /** A connection has opened in this shard. */
  opened({ address }: Connection): void {
    if (this.#successor === undefined) return;
    void this.move({ kind: "move", to: [this.#successor], addresses: [address], count: 1, limitMs: 5_000 });
  }

  /** Tells the main thread at once what it hasn't heard. */
  flushReports(): void {
    this.#reports.flush();
  }

  /** True while a connection is being moved to another shard. */
  isLeaving(connection: Connection): boolean {
    return this.#leaving.has(connection);
  }

  /** A connection of this shard has closed. */
  closed(connection: { readonly address: Address }): void {
    const hops = this.arrivals.takeHops(connection);
    if (hops > 0) this.#reports.closed({ address: connection.address, hops });
  }

  /** Moves connections, many at a time. Resolves when each goes on in its new thread, stays, or is lost. */
  async move({ to, addresses, count, limitMs }: MoveQuery): Promise<MoveCounts> {
    const { connections } = this.#owner;
    const tally = new MoveTally();
    let begun = 0;
    /** Connections that may still begin to move. */
    let room = count;
    const all = addresses === undefined ? connections[Symbol.iterator]() : this.#find(addresses);
    const moveOneByOne = async (): Promise<void> => {
      while (room > 0) {
        const { done, value: connection } = all.next();
        if (done === true) return;
        room--;
        const life = to[begun++ % to.length] as number;
        const outcome = connection === undefined ? "gone" : await this.#move(connection, life, limitMs, tally);
        if (outcome === "moved") continue;
        room++;
        tally.stayed(outcome);
      }
    };
    const together = Math.min(MAX_TOGETHER, count, addresses?.length ?? connections.size);
    await Promise.all(Array.from({ length: together }, moveOneByOne));
    await tally.allResumed(limitMs);
    return tally.counts;
  }

  *#find(addresses: readonly Address[]): Generator<Connection | undefined, undefined> {
    for (const address of addresses) yield this.#owner.connections.get(address);
    return undefined;
  }

  async #move(connection: Connection, life: number, limitMs: number, tally: MoveTally): Promise<"moved" | StayReason> {
    if (life === this.#owner.life) {
      tally.moved();
      return "moved";
    }
    const version = this.#owner.moduleOf(connection.actor)?.moves;
    if (version === undefined) return "actor";
    const underWay = this.#leaving.get(connection);
    // A connection that has just opened in a replaced thread is on its way already.
    if (underWay !== undefined && life === this.#successor) {
      const outcome = await underWay;
      if (outcome === "moved") tally.moved();
      return outcome;
    }
    if (underWay !== undefined || connection.isSuspended) return "busy";
    const outcome = this.#moveInTurn(connection, life, version, limitMs, tally);
    this.#leaving.set(connection, outcome);
    return outcome;
  }

  async #moveInTurn(
    connection: Connection,
    life: number,
    version: number,
    limitMs: number,
    tally: MoveTally,
  ): Promise<"moved" | StayReason> {
    // Each `board.move` is an order of its own, and thousands may come in one turn.
    while (this.#suspending >= MAX_TOGETHER) await this.#slot();
    this.#suspending++;
    const outcome = await this.#leave(
      connection,
      life,
      version,
      { untilMs: performance.now() + limitMs },
      tally.resumed,
    );
    this.#suspending--;
    this.#waiting.shift()?.();
    this.#leaving.delete(connection);
    if (outcome === "moved") {
      tally.left();
      return outcome;
    }
    const destination = life === this.#successor ? "thread" : "shard";
    reportMoveFailure(this.#owner.host, connection, outcome, destination);
    return stayReasonOf(outcome);
  }

  /** Resolves when one of those that are being suspended has gone, or stays. */
  #slot(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async #leave(
    connection: Connection,
    life: number,
    version: number,
    limit: SuspensionLimit,
    resumed: ResumptionEnded,
  ): Promise<MoveOutcome> {
    const bytes = await suspend(connection, version, limit, () => this.#stayReason(connection, life));
    if (!(bytes instanceof Uint8Array)) return bytes;
    return new Promise((done) => this.#departures.add(life, { connection, state: bytes, done, resumed }));
  }

  #stayReason(connection: Connection, life: number): StayReason | undefined {
    if (this.#owner.isClosing) return "closing";
    return connection.stayReason ?? (this.#ways.has(life) ? undefined : "shard");
  }
}
