/** The topics of one shard, put together: its bus, its way to the engine, and its feeds. `Shard` has one. */
import type { MessagePort } from "node:worker_threads";
import { Bus } from "../../runtime/bus/bus.ts";
import type { Departure } from "../../runtime/bus/moving/move.ts";
import type { ComingPreparation } from "../../runtime/bus/moving/moves-host.ts";
import { EngineClient } from "../../runtime/engine/client/engine-client.ts";
import { Feeds, type MoveName } from "../../runtime/feeds/feeds.ts";
import type { Membership } from "../../runtime/feeds/membership.ts";
import type { ComingLuggage } from "../../runtime/feeds/moving/coming-topics.ts";
import { Topics } from "../../runtime/feeds/topics.ts";
import type { FairScheduler } from "../../runtime/scheduling/fair-scheduler.ts";
import type { Counters } from "../../runtime/stats/counters.ts";
import { TopicRules } from "../../runtime/streams/topic-rules.ts";
import { BroadcastGroup } from "../connection/outbound/broadcast-group.ts";
import type { TopicsLeaver } from "../connection/subscriptions.ts";
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
      subscribersComing: (from: number, move: number, luggage: unknown, wanted: Promise<unknown>) =>
        this.#expect({ from, move }, luggage as ComingLuggage | undefined, wanted),
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
    const client = new EngineClient(
      {
        publishFailed: () => counters.add("publishesFailed"),
        marked: (from, move) => {
          this.feeds?.marked({ from, move });
          this.#bus.engineMarked(from, move);
        },
      },
      { life },
    );
    if (port !== undefined) client.connect(port);
    this.#client = client;
    this.topics = new Topics(this.#bus, { client, rules: new TopicRules(rules), isShared });
    this.feeds = new Feeds(client, {
      audience,
      relayed: (topic, frame) => this.#bus.deliver(topic, frame),
      unstoredDropped: (count) => counters.add("droppedNewest", count),
      subscriptionLost: () => counters.add("subscriptionsLost"),
      subscriptionBehind: () => counters.add("subscriptionsBehind"),
      mayGoOn: turns.backgroundTurn,
    });
  }

  /** Links this shard to another thread. Resolves when the other thread's topics are known. */
  addLink(port: MessagePort, life: number): Promise<void> {
    return this.#bus.addLink(port, life);
  }

  /** Begins a move of connections to another thread, with all their topics. */
  leaveFor<L extends TopicsLeaver>(life: number, leavers: readonly L[]): Departure<L> {
    const memberships = leavers.flatMap((leaver) => leaver.memberships);
    const cutsEngine = memberships.length > 0 || this.topics.areShared;
    if (!cutsEngine) return this.#bus.leaveFor(life, leavers);
    return this.#bus.leaveFor(life, leavers, {
      luggage: luggageOf(memberships),
      cutsEngine,
      engineMarked: () => {
        for (const membership of memberships) membership.pause();
      },
      stays: (leaver) => {
        for (const membership of leaver.memberships) membership.goOn();
      },
    });
  }

  /**
   * Prepares for connections that are to come. The other thread lets go once that is done, and the engine thread has
   * cut.
   */
  #expect(name: MoveName, luggage: ComingLuggage | undefined, wanted: Promise<unknown>): ComingPreparation | undefined {
    if (luggage === undefined) return undefined;
    const coming = this.feeds?.expect(name, luggage, (topic) => this.topics.ruleOf(topic));
    const prepared = Promise.all([wanted, coming?.prepared]).then(() => this.#client?.cut(name.from, name.move));
    return { prepared, ended: () => coming?.ended() };
  }

  /**
   * Resolves when everything that was published here has arrived in the other threads and in the engine, which know the
   * topics of this one.
   */
  async settled(): Promise<void> {
    await Promise.all([this.#bus.settled(), this.feeds?.wanted(), this.#client?.settled()]);
  }

  /** Resolves when everything that was published here has arrived in the other threads, the engine thread included. */
  async publishesArrived(): Promise<void> {
    await Promise.all([this.#bus.settled(), this.#client?.settled()]);
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

/** Topics and members of a connection that moves: the thread that takes the connection has to know them first. */
function luggageOf(memberships: readonly Membership[]): ComingLuggage {
  return {
    topics: [...new Set(memberships.map(({ topic }) => topic))],
    members: memberships.flatMap(({ topic, shown }) => (shown === undefined ? [] : [[topic, shown] as const])),
  };
}
