/**
 * The topics of a connection. `Connection` creates this set on the first `subscribe`.
 */
import { SwitchboardError } from "../../errors.ts";
import type { Subscriber } from "../../runtime/bus/audience.ts";
import type { Bus } from "../../runtime/bus/bus.ts";
import type { FairScheduler, ScheduledTask } from "../../runtime/scheduling/fair-scheduler.ts";
import type { Counters } from "../../runtime/stats/counters.ts";

export interface SubscriptionsHost {
  readonly bus: Bus;
  readonly turns: FairScheduler;
  readonly counters: Counters;
  readonly options: { readonly maxSubscriptions: number };
}

const MAX_TOPICS_LEFT_PER_TURN = 32;

/** The topics of one connection: at most `maxSubscriptions`, all left when the connection ends. */
export class Subscriptions implements ScheduledTask {
  readonly #subscriber: Subscriber;
  readonly #host: SubscriptionsHost;
  #topics = new Set<string>();
  #leaving: SetIterator<string> | undefined;

  constructor(subscriber: Subscriber, host: SubscriptionsHost) {
    this.#subscriber = subscriber;
    this.#host = host;
  }

  get size(): number {
    return this.#topics.size;
  }

  /**
   * Subscribes. Resolves when every thread knows. Throws `ERR_TOO_MANY_SUBSCRIPTIONS`, and `ERR_TOPIC` for a bad topic.
   */
  add(topic: string): Promise<void> {
    if (!this.#topics.has(topic)) this.#checkRoom();
    const known = this.#host.bus.subscribe(topic, this.#subscriber);
    this.#topics.add(topic);
    return known;
  }

  remove(topic: string): void {
    if (this.#topics.delete(topic)) this.#host.bus.unsubscribe(topic, this.#subscriber);
  }

  /** Leaves all topics, a few in each turn: many connections with many topics may end together. */
  leaveAll(): void {
    if (this.#topics.size === 0) return;
    this.#leaving = this.#topics.values();
    this.#topics = new Set();
    this.takeTurn();
  }

  /** Called by the `FairScheduler`. The closing connection ignores deliveries meanwhile. */
  takeTurn(): void {
    for (let left = 0; left < MAX_TOPICS_LEFT_PER_TURN; left++) {
      const { done, value } = this.#leaving?.next() ?? { done: true };
      if (done === true) return;
      this.#host.bus.unsubscribe(value, this.#subscriber);
    }
    this.#host.turns.add(this);
  }

  /** Throws, and rejects no promise: an actor that doesn't await `subscribe` fails alone, without its shard. */
  #checkRoom(): void {
    const { options, counters } = this.#host;
    if (this.#topics.size < options.maxSubscriptions) return;
    counters.add("subscriptionsRefused");
    const message = `a connection can be subscribed to ${options.maxSubscriptions} topics at a time (maxSubscriptions)`;
    throw new SwitchboardError("ERR_TOO_MANY_SUBSCRIPTIONS", message);
  }
}
