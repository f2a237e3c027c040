/** Sends sockets from the main thread to one shard, and counts the connections there. `ShardHandle` has one. */
import type { Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Counters } from "../../../runtime/stats/counters.ts";
import { HandoffSender, isMovable } from "../../../wire/transport/handoff.ts";
import { createHandoffChannel, type HandoffResult } from "../../../wire/transport/pending-handoffs.ts";
import { RelaySender } from "../../../wire/transport/relay/relay.ts";
import type { RelayMoves } from "../../../wire/transport/relay/relay-moves.ts";
import type { HandoffEnvelope } from "../../connection/connection-host.ts";
import type { RawSocketEnvelope, ShardPortNotice, ShardTask } from "../../shard/messages.ts";
import { ConnectionCount } from "./connection-count.ts";

export interface SocketDispatchSettings {
  /** Number of the thread, unique in the board, from 1. */
  readonly life: number;
  /** Relayed streams between the shards of the board. */
  readonly relayMoves: RelayMoves;
  readonly counters: Counters;
  /** True if movable sockets are moved; all others are relayed. */
  readonly moves: boolean;
  /** Milliseconds that the shard has to answer for a socket. */
  readonly handoffTimeoutMs: number;
  /** A connection or a handshake of a client has ended, if clients are counted. */
  readonly clientLeft: (clientKey: string) => void;
}

export class SocketDispatch {
  readonly #counters: Counters;
  readonly #moves: boolean;
  readonly #count: ConnectionCount;
  readonly #handoff: HandoffSender<HandoffEnvelope>;
  readonly #relay: RelaySender<HandoffEnvelope>;
  readonly #rawSockets: HandoffSender<RawSocketEnvelope, ShardPortNotice>;
  /** The shard's ends. */
  readonly receivers: Pick<ShardTask, "handoff" | "relay" | "rawSockets">;

  constructor({ life, relayMoves, counters, moves, handoffTimeoutMs, clientLeft }: SocketDispatchSettings) {
    this.#counters = counters;
    this.#moves = moves;
    this.#count = new ConnectionCount(counters, clientLeft);
    const handoff = createHandoffChannel();
    const relay = createHandoffChannel();
    const rawSockets = createHandoffChannel();
    this.#handoff = new HandoffSender(handoff.sender, handoffTimeoutMs);
    this.#relay = new RelaySender(relay.sender, handoffTimeoutMs, life, relayMoves);
    this.#rawSockets = new HandoffSender(rawSockets.sender, handoffTimeoutMs);
    this.receivers = { handoff: handoff.receiver, relay: relay.receiver, rawSockets: rawSockets.receiver };
  }

  /** True if the shard doesn't answer for its sockets: it gets no more until it does. */
  get isFull(): boolean {
    return this.#handoff.isFull || this.#relay.isFull || this.#rawSockets.isFull;
  }

  /** Number of connections in the shard, in their handshake there, or on their way. */
  get connections(): number {
    return this.#count.count;
  }

  handOff(socket: Duplex, head: Buffer, envelope: HandoffEnvelope): Promise<HandoffResult> {
    const handoff =
      this.#moves && isMovable(socket)
        ? this.#handoff.send(socket, head, envelope)
        : this.#relay.send(socket, head, envelope);
    return this.#timed(this.#count.follow(handoff, envelope.clientKey));
  }

  handOffRawSocket(socket: Socket, listenerId: number, clientKey: string | undefined): Promise<HandoffResult> {
    const handoff = this.#rawSockets.sendRawSocket(socket, { listenerId, clientKey });
    return this.#timed(this.#count.follow(handoff, clientKey));
  }

  async #timed(handoff: Promise<HandoffResult>): Promise<HandoffResult> {
    const startedAt = performance.now();
    const result = await handoff;
    if (result.outcome === "adopted") this.#counters.handoff.observe((performance.now() - startedAt) / 1_000);
    else if (result.outcome !== "peerGone") this.#counters.add("handoffsFailed");
    return result;
  }

  /** Sets how the shard does the handshakes of a port, from the next socket on. */
  configure(notice: ShardPortNotice): void {
    this.#rawSockets.tell(notice);
  }

  /** Lets the shard accept the sockets of a port by itself. */
  giveServer(server: Server, listenerId: number): void {
    this.#rawSockets.sendServer(server, { listenerId, clientKey: undefined });
  }

  /** A connection of a client has come from another process. */
  clientArrived(clientKey: string): void {
    this.#count.clientArrived(clientKey);
  }

  /** Connections or handshakes of these clients have ended in the shard. */
  clientsLeft(clientKeys: readonly string[]): void {
    for (const clientKey of clientKeys) this.#count.clientLeft(clientKey);
  }

  /** A connection of a client is on its way to another shard; undefined if that shard has ended. */
  clientMoved(clientKey: string, to: SocketDispatch | undefined): void {
    this.#count.clientMoved(clientKey, to === undefined ? undefined : to.#count);
  }

  /** The shard has ended, and all its connections with it. */
  end(): void {
    this.#handoff.close();
    this.#relay.close();
    this.#rawSockets.close();
    this.#count.end();
  }
}
