/** The port between an actor and its connection. `Connection` implements it, and `Actor` stands on it. */
import type { Sendable } from "../../../wire/protocol/message.ts";
import type { SendResult } from "../../../wire/protocol/send-result.ts";
import type { SlowConsumerPolicy } from "../../../wire/protocol/slow-consumer-policy.ts";
import type { Subscribed, SubscribeOptions } from "../../streams/subscribe.ts";
import type { TopicMemory } from "../../streams/topic-memory.ts";
import type { TimerCall } from "../actor-timers.ts";
import type { Address } from "../address.ts";
import type { Mailer } from "../mail.ts";
import type { ConnectionRequest } from "./connection-request.ts";
import type { PublishResult } from "./publish-result.ts";

export interface PublishOptions {
  /**
   * True to deliver to the publisher as well, if it subscribes to the topic. On a topic with history every subscriber
   * gets every publication: offsets have no hole. Default: false.
   */
  readonly self?: boolean | undefined;
  /**
   * Key of this publish, 1 to 128 characters: a second publish to the topic with the key, within five minutes, gets the
   * position of the first and reaches nobody. Needs a topic with history.
   */
  readonly idempotencyKey?: string | undefined;
  /**
   * Time after which the publication isn't handed out any more, in ms. Needs a topic with history. Default: as long as
   * the history.
   */
  readonly expiresMs?: number | undefined;
  /**
   * False, on a topic with history: the publication isn't kept and gets no offset. It reaches those who are subscribed
   * now, at most once; peers that read too slowly don't get it. Default: true. On other topics nothing is kept anyway.
   */
  readonly store?: boolean | undefined;
}

/** Parameters of a path: `room` for `/chat/:room`. */
export type Params = Readonly<Record<string, string>>;

/** The part of a connection that an actor uses. Each member is what the member of `Actor` with its name documents. */
export interface ActorContext<Session = unknown> {
  readonly address: Address;
  readonly shard: number;
  /** Name of the actor module; undefined for the default module. Traces of handlers tell the name. */
  readonly actor?: string | undefined;
  readonly session: Session;
  readonly params: Params;
  readonly protocol: string;
  readonly request: ConnectionRequest;
  slowConsumerPolicy: SlowConsumerPolicy;
  /** Answers `history`, `removeHistory`, `presence` and `presenceStats`. */
  readonly memory: TopicMemory;
  /** Carries `tell` and `ask`. */
  readonly mailer: Mailer;
  send(data: Sendable): SendResult;
  /** Serves `drained`. */
  whenDrained(): Promise<void>;
  publish(topic: string, data: Sendable, options?: PublishOptions): PublishResult;
  subscribe(topic: string, options?: SubscribeOptions): Promise<Subscribed>;
  unsubscribe(topic: string): void;
  close(code?: number, reason?: string): void;
  /**
   * Serves `after` and `every`.
   *
   * @param actor the actor object that asks; an object that was replaced gets no timer
   */
  schedule(actor: object, delayMs: number, call: TimerCall, repeats: boolean): () => void;
  /** Cancels all timers that call this method. Returns their number. */
  cancelTimers(method: string): number;
  /** Returns a context for an actor object that has lost its connection. It doesn't hold the connection in memory. */
  withoutConnection(): ActorContext<Session>;
}
