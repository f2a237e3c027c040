/** The topics that clients want from the engine, in the engine thread. `EngineHost` owns them. */
import type { Position } from "../streams/position.ts";

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
}

/** A topic that at least one client wants, or that is kept for subscribers that are to come from another process. */
export class HostTopic<Client> {
  readonly name: string;
  readonly interests = new Set<Interest<Client>>();
  /** True while the topic is wanted without a client. */
  isKept = false;
  /** Resolves when the engine reports what is published. Rejects if the engine can't. */
  readonly ready: Promise<void>;
  /** Position of the newest publication that the engine has reported; the epoch is empty before the first. */
  #epoch = "";
  #offset = 0;

  constructor(name: string, ready: Promise<void>) {
    this.name = name;
    this.ready = ready;
  }

  /**
   * Position of the newest publication that all clients have been sent, while the host follows the stream; undefined
   * otherwise. The top may be ahead: what lies between is on its way from the engine.
   */
  get followed(): Position | undefined {
    if (this.#epoch === "") return undefined;
    for (const { isKnown } of this.interests) if (isKnown) return { epoch: this.#epoch, offset: this.#offset };
    return undefined;
  }

  published(epoch: string, offset: number): void {
    this.#epoch = epoch;
    this.#offset = offset;
  }

  /**
   * Reads the top: no publication after it has been reported. The report of a publication may come earlier than the
   * read that was made before it.
   */
  async readTop(read: () => Position | Promise<Position>): Promise<Position> {
    const epochBefore = this.#epoch;
    const top = await read();
    if (top.epoch === this.#epoch) return { epoch: top.epoch, offset: Math.max(top.offset, this.#offset) };
    // Unless the epoch changed since the read, the read is newer than the last report.
    return epochBefore === this.#epoch ? top : { epoch: this.#epoch, offset: this.#offset };
  }
}
