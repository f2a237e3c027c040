/** The publishes of one client, from a batch to the engine, and the acknowledgements for the client. */
import { type ErrorReport, reportError, SwitchboardError } from "../../../errors.ts";
import type { Frame } from "../../../wire/protocol/frame.ts";
import type { Engine, EnginePublished, HistoryLimits } from "../../streams/engine.ts";
import type { TopicRules } from "../../streams/topic-rules.ts";
import { type HostMessage, RELAY_FLAG } from "../messages.ts";
import type { StateGate } from "../takeover/state-gate.ts";

/** The engine and the rules of topics to which publishes go. */
export interface PublishTarget {
  readonly engine: Engine;
  readonly rules: TopicRules;
  /** The gate that publishes to topics with history pass, for a takeover. */
  readonly gate: StateGate;
}

/** A topic that the client has given a number. */
interface NumberedTopic {
  readonly name: string;
  /** undefined for a topic without history. */
  readonly limits: HistoryLimits | undefined;
  /** Epoch that the client knows. */
  epoch: string;
}

type Acknowledged = Extract<HostMessage, { kind: "acknowledged" }>;

export class PublishReceiver {
  readonly #target: PublishTarget;
  readonly #acknowledges: () => void;
  /** Topics by number. */
  #topics: NumberedTopic[] = [];
  #nextSerial = 0;
  #serials: number[] = [];
  #offsets: number[] = [];
  #epochs: Acknowledged["epochs"][number][] = [];
  /** Failed publishes by the code and message of their error. */
  #failed = new Map<string, { readonly error: ErrorReport; readonly serials: number[] }>();

  /** @param acknowledges called when there is something to take */
  constructor(target: PublishTarget, acknowledges: () => void) {
    this.#target = target;
    this.#acknowledges = acknowledges;
  }

  /** The client has given numbers to further topics; or, if `renumbered`, begins with the numbers anew. */
  number(topics: readonly string[], renumbered: boolean): void {
    if (renumbered) this.#topics = [];
    for (const name of topics) {
      this.#topics.push({ name, limits: this.#target.rules.of(name)?.history, epoch: "" });
    }
  }

  /** Receives the next publish or relay. A relay to a topic with history is a publish that isn't stored. */
  readonly receive = (number: number, frame: Frame): void => {
    const serial = this.#nextSerial++;
    const isRelay = number >= RELAY_FLAG;
    const topic = this.#topics[isRelay ? number - RELAY_FLAG : number];
    try {
      if (topic === undefined) throw new Error(`the client has given no topic the number ${number}`);
      const { name, limits } = topic;
      if (isRelay && limits === undefined) {
        this.#target.engine.relay(name, frame);
        this.#add(serial, 0);
        return;
      }
      if (limits === undefined) throw noHistory(name);
      if (!this.#target.gate.isHere) {
        void this.#await(serial, topic, this.#passThrough(name, frame, !isRelay));
        return;
      }
      const published = this.#target.engine.publish(name, isRelay ? { frame, store: false } : { frame }, limits);
      if (published instanceof Promise) void this.#await(serial, topic, published);
      else this.#stored(serial, topic, published);
    } catch (error) {
      this.#fail(serial, error);
    }
  };

  /** Returns the acknowledgements since the last call; undefined if there are none. */
  take(): Acknowledged | undefined {
    if (this.#serials.length === 0 && this.#failed.size === 0) return undefined;
    const acknowledged: Acknowledged = {
      kind: "acknowledged",
      serials: Float64Array.from(this.#serials),
      offsets: Float64Array.from(this.#offsets),
      epochs: this.#epochs,
      failed: [...this.#failed.values()],
    };
    this.#serials = [];
    this.#offsets = [];
    this.#epochs = [];
    this.#failed.clear();
    return acknowledged;
  }

  async #passThrough(topic: string, { block, start, end }: Frame, store: boolean): Promise<EnginePublished> {
    const bytes = new Uint8Array(block.subarray(start, end));
    const request = { kind: "publish", topic, bytes, idempotencyKey: undefined, expiresMs: undefined, store } as const;
    return (await this.#target.gate.do(request)) as EnginePublished;
  }

  async #await(serial: number, topic: NumberedTopic, publishing: Promise<EnginePublished>): Promise<void> {
    try {
      this.#stored(serial, topic, await publishing);
    } catch (error) {
      this.#fail(serial, error);
    }
  }

  #stored(serial: number, topic: NumberedTopic, { position }: EnginePublished): void {
    if (position.offset > 0 && topic.epoch !== position.epoch) {
      topic.epoch = position.epoch;
      this.#epochs.push({ serial, epoch: position.epoch });
    }
    this.#add(serial, position.offset);
  }

  #add(serial: number, offset: number): void {
    this.#serials.push(serial);
    this.#offsets.push(offset);
    this.#acknowledges();
  }

  #fail(serial: number, error: unknown): void {
    this.#acknowledges();
    // Making a report costs time, because of the stack, and an engine that fails does so for many publishes.
    const known = error instanceof SwitchboardError ? this.#failed.get(`${error.code} ${error.message}`) : undefined;
    if (known !== undefined) {
      known.serials.push(serial);
      return;
    }
    const report = reportError(error);
    const reason = `${report.code} ${report.message}`;
    const failed = this.#failed.get(reason);
    if (failed === undefined) this.#failed.set(reason, { error: report, serials: [serial] });
    else failed.serials.push(serial);
  }
}

/** The error of a request about the history of a topic without history. */
export function noHistory(topic: string): SwitchboardError {
  return new SwitchboardError(
    "ERR_NO_HISTORY",
    `the topic ${JSON.stringify(topic)} has no history by the option topics`,
  );
}
