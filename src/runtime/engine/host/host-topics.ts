/** The topics that clients want from the engine, in the engine thread. `EngineHost` owns them. */
import type { Position } from "../../streams/position.ts";

/** A client that wants a topic. */
export interface Interest<Client> {
  readonly client: Client;
  readonly topic: HostTopic<Client>;
  /** The client's number for the topic. */
  number: number;
  /** True if the client wants changes of presence. */
  presence: boolean;
  /** True once the client knows the top: from then on publications are delivered. */
  isKnown: boolean;
  /** Epoch that the client knows for deliveries. */
  epoch: string;
  /** True if deliveries of publications were dropped, and the client isn't about to be told the top yet. */
  isInterrupted: boolean;
}

/** A topic that at least one client wants, or that is kept for subscribers that are to come from another process. */
export class HostTopic<Client> {
  readonly name: string;
  readonly interests = new Set<Interest<Client>>();
  /** True while the topic is wanted without a client. What is published meanwhile may wait in the engine. */
  isKept = false;
  /** True if the top is to be checked when the topic isn't kept any more. */
  isCheckDue = false;
  /** Resolves when the engine reports what is published. Rejects if the engine can't. */
  readonly ready: Promise<void>;
  /** Position of the newest publication that was reported, or read for all; the epoch is empty before the first. */
  #epoch = "";
  #offset = 0;

  constructor(name: string, ready: Promise<void>) {
    this.name = name;
    this.ready = ready;
  }

  /**
   * Place of the host in the stream, while the host follows the stream: all clients know everything up to here, and are
   * sent everything after it. Undefined otherwise. The top may be ahead: what lies between is on its way from the
   * engine.
   */
  get followed(): Position | undefined {
    if (this.#epoch === "") return undefined;
    const position = { epoch: this.#epoch, offset: this.#offset };
    if (this.isKept) return position;
    for (const { isKnown } of this.interests) if (isKnown) return position;
    return undefined;
  }

  published(epoch: string, offset: number): void {
    this.#epoch = epoch;
    this.#offset = offset;
  }

  /**
   * Returns the place from which on a client is sent everything. A connection that moves has the place of another
   * client or process, and a read may be ahead of that place: so the read counts only while nobody follows the stream.
   */
  async follow(read: () => Promise<Position>): Promise<Position> {
    if (this.followed !== undefined) return this.followed;
    const epochBefore = this.#epoch;
    const top = await read();
    // Another client may have been first.
    return this.followed ?? this.#advance(top, epochBefore);
  }

  /**
   * Reads the top, which all clients are to be told: no publication after it has been reported. The report of a
   * publication may come earlier than the read that was made before it.
   */
  async readTop(read: () => Promise<Position>): Promise<Position> {
    const epochBefore = this.#epoch;
    return this.#advance(await read(), epochBefore);
  }

  #advance(top: Position, epochBefore: string): Position {
    if (top.epoch === this.#epoch) this.#offset = Math.max(top.offset, this.#offset);
    // Unless the epoch changed since the read, the read is newer than the last report.
    else if (epochBefore === this.#epoch) this.published(top.epoch, top.offset);
    return { epoch: this.#epoch, offset: this.#offset };
  }
}
