/** A topic that this node wants: decodes the messages of its channel and reports them. `Streams` has one for each. */
import type { EngineOwner } from "../../runtime/streams/engine.ts";
import type { StreamRecord } from "../../runtime/streams/publication.ts";
import { noop } from "../../wire/protocol/empty.ts";
import type { Listener } from "./link/subscriptions.ts";
import { decodeChanges, decodeEntry, decodeEpoch, decodeGrace, decodeRelay, Kind } from "./messages.ts";

/** Totals since the start. */
interface Received {
  received: number;
  malformed: number;
}

export interface WantedTopicOptions {
  readonly topic: string;
  readonly node: Buffer;
  readonly owner: EngineOwner;
  readonly counts: Received;
  readonly wentBack: (epoch: string) => void;
  readonly graceBegan: (topic: string, ms: number) => void;
}

export class WantedTopic implements Listener {
  readonly #options: WantedTopicOptions;
  #epoch = "";
  #offset = 0;

  constructor(options: WantedTopicOptions) {
    this.#options = options;
  }

  waits(): "topics" {
    return "topics";
  }

  interrupted(): void {
    const { owner, topic } = this.#options;
    owner.interrupted(topic);
  }

  received(bytes: Buffer): void {
    const { counts } = this.#options;
    counts.received++;
    const report = this.#decode(bytes);
    if (report === undefined) counts.malformed++;
    else report();
  }

  /** Returns how to report a message. Undefined for bytes that no node has published. */
  #decode(bytes: Buffer): (() => void) | undefined {
    const { topic, node, owner, graceBegan } = this.#options;
    try {
      switch (bytes[0]) {
        case Kind.publication: {
          const [epoch, record] = [decodeEpoch(bytes), decodeEntry(bytes)];
          return () => this.#published(epoch, record);
        }
        case Kind.relay: {
          const frame = decodeRelay(node, bytes);
          return frame === undefined ? noop : () => owner.relayed(topic, frame);
        }
        case Kind.changes: {
          const changes = decodeChanges(bytes);
          return () => {
            for (const change of changes) owner.presenceChanged({ topic, ...change });
          };
        }
        case Kind.grace: {
          const ms = decodeGrace(bytes);
          return () => graceBegan(topic, ms);
        }
        default:
          return undefined;
      }
    } catch {
      return undefined;
    }
  }

  #published(epoch: string, record: StreamRecord): void {
    const { topic, owner, wentBack } = this.#options;
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
    } else if (record.offset <= this.#offset) {
      // Redis has lost what it had stored, in a way that its identity doesn't show.
      wentBack(epoch);
      return;
    }
    this.#offset = record.offset;
    owner.published(topic, epoch, record);
  }
}
