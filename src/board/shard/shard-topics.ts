/** The topics of one shard, put together: its bus, its way to the engine, and its feeds. `Shard` has one. */
import type { MessagePort } from "node:worker_threads";
import { Bus } from "../../runtime/bus/bus.ts";
import type { Departure, Leaver } from "../../runtime/bus/moving/move.ts";
import { EngineClient } from "../../runtime/engine/engine-client.ts";
import { Feeds } from "../../runtime/feeds/feeds.ts";
import { Topics } from "../../runtime/feeds/topics.ts";
import type { FairScheduler } from "../../runtime/scheduling/fair-scheduler.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import { TopicRules } from "../../runtime/streams/topic-rules.ts";
import { BroadcastGroup } from "../connection/outbound/broadcast-group.ts";
import type { ShardEngine } from "./messages.ts";

export class ShardTopics {
  readonly topics: Topics;
  /** Undefined if the board has no engine. */
  readonly feeds: Feeds | undefined;
  readonly #bus: Bus;
  readonly #client: EngineClient | undefined;
  /** Lets go of the topics without history that other nodes may publish to, by name. */
  readonly #held = new Map<string, () => void>();

  /**
   * @param life number of this thread
   * @param turns scheduler of the shard
   */
  constructor(engine: ShardEngine | undefined, counters: Counters, life: number, turns: FairScheduler) {
    const audience = {
      newGroup: () => new BroadcastGroup(counters),
      delivered: (count: number) => counters.add("deliveries", count),
    };
    const owner = {
      ...audience,
      publishDropped: () => counters.add("publishesDropped"),
      batchArrived: (lagSeconds: number) => counters.busLag.observe(lagSeconds),
      ...(engine?.isShared === true && {
        firstSubscribed: (topic: string) => this.#hold(topic),
        lastUnsubscribed: (topic: string) => this.#letGo(topic),
      }),
    };
    this.#bus = new Bus(owner, { life });
    if (engine === undefined) {
      this.topics = new Topics(this.#bus, undefined);
      return;
    }
    const { port, rules, isShared } = engine;
    const client = new EngineClient({ publishFailed: () => counters.add("publishesFailed") });
    if (port !== undefined) client.connect(port);
    this.#client = client;
    this.topics = new Topics(this.#bus, { client, rules: new TopicRules(rules), isShared });
    this.feeds = new Feeds(client, {
      audience,
      relayed: (topic, frame) => this.#bus.deliver(topic, frame),
      unstoredDropped: () => counters.add("droppedNewest"),
      subscriptionLost: () => counters.add("subscriptionsLost"),
      subscriptionBehind: () => counters.add("subscriptionsBehind"),
      mayGoOn: turns.backgroundTurn,
    });
  }

  /** Links this shard to another thread. Resolves when the other thread's topics are known. */
  addLink(port: MessagePort, life: number): Promise<void> {
    return this.#bus.addLink(port, life);
  }

  /** Begins a move of connections to another thread, with their subscriptions. */
  leaveFor<L extends Leaver>(life: number, leavers: readonly L[]): Departure<L> {
    return this.#bus.leaveFor(life, leavers);
  }

  /** The engine thread was replaced. */
  connectEngine(port: MessagePort): void {
    this.#client?.connect(port);
  }

  close(): void {
    this.#bus.close();
    this.#client?.close();
  }

  #hold(topic: string): Promise<unknown> | undefined {
    const held = this.feeds?.hold(topic, this.topics.ruleOf(topic));
    if (held === undefined) return undefined;
    this.#held.set(topic, held.release);
    return held.wanted;
  }

  #letGo(topic: string): void {
    this.#held.get(topic)?.();
    this.#held.delete(topic);
  }
}
