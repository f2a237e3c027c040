/** The engine over Redis: one object in each node, run by the engine thread. Its parts do the work. */
import { SwitchboardError } from "../../errors.ts";
import type {
  Engine,
  EngineHealth,
  EngineOwner,
  EnginePublish,
  EnginePublished,
  HistoryLimits,
  HistoryRange,
  HistoryRead,
  Member,
  PresenceLimits,
  PresenceStats,
} from "../../runtime/streams/engine.ts";
import { noop } from "../../wire/protocol/empty.ts";
import type { Frame } from "../../wire/protocol/frame.ts";
import { Cuts } from "./cuts.ts";
import { messageOf, OUT_OF_MEMORY } from "./failures.ts";
import { Keys } from "./keys.ts";
import { ClusterLinks } from "./link/cluster.ts";
import type { RedisClientPackage } from "./link/connection.ts";
import type { Link } from "./link/link.ts";
import { type Links, SingleLink } from "./link/links.ts";
import { Nodes } from "./nodes.ts";
import type { RedisSettings } from "./options.ts";
import { Presence } from "./presence.ts";
import { createScripts } from "./scripts/scripts.ts";
import { Streams } from "./streams.ts";

/** Time within which `stop` resolves, in ms. */
const STOP_MS = 900;

/** Parts of the engine that exist once it has an owner. */
interface Parts {
  readonly links: Links;
  readonly streams: Streams;
  readonly presence: Presence;
  readonly nodes: Nodes;
  readonly cuts: Cuts;
}

export class RedisEngine implements Engine {
  readonly isShared = true;
  readonly #redis: RedisClientPackage;
  readonly #settings: RedisSettings;
  readonly #node: string;
  #started: Parts | undefined;
  #health: EngineHealth = { status: "down" };
  /** True while Redis is out of memory, as far as is known. */
  #isFull = false;
  #doubts = 0;
  /** Called when the health has changed, while `start` waits. */
  #changed: () => void = noop;

  constructor(redis: RedisClientPackage, settings: RedisSettings, node: string) {
    this.#redis = redis;
    this.#settings = settings;
    this.#node = node;
  }

  async start(owner: EngineOwner): Promise<void> {
    const settings = this.#settings;
    const node = this.#node;
    const keys = new Keys(settings.prefix);
    const isCluster = settings.topology.kind === "cluster";
    const scripts = createScripts(isCluster);
    const restored = (link: Link, isOtherServer: boolean): void => {
      presence.restored(link, isOtherServer);
      nodes.restored();
      if (!this.#isWorking) return;
      this.#doubts++;
      owner.doubted();
    };
    const probeChannel = (number: number): string => keys.probe(node, number);
    const linksOptions = { redis: this.#redis, settings, scripts, probeChannel };
    const linkOwner = { healthChanged: () => this.#healthChanged(owner), restored, misrouted: noop };
    const { topology } = settings;
    const links =
      topology.kind === "cluster"
        ? new ClusterLinks(linksOptions, linkOwner, topology.seeds)
        : new SingleLink(linksOptions, linkOwner, topology);
    const fullness = (isFull: boolean): void => {
      if (this.#isFull === isFull) return;
      this.#isFull = isFull;
      this.#healthChanged(owner);
    };
    const presence: Presence = new Presence({
      ttlMs: settings.presenceTtlMs,
      keys,
      links,
      scripts,
      isWanted: (topic) => streams.isWanted(topic),
      fullness,
    });
    const graceBegan = (topic: string, ms: number): void => presence.graceBegan(topic, ms);
    const streams: Streams = new Streams({ node, keys, links, scripts, isCluster, owner, graceBegan, fullness });
    const nodes = new Nodes({ node, nodeTtlMs: settings.nodeTtlMs, keys, links, owner });
    const cuts = new Cuts({
      keys,
      links,
      flush: () => streams.flush(),
      answerFor: (others) => nodes.answerFor(others),
      dropped: (count) => {
        streams.counts.waitingDropped += count;
        owner.doubted();
      },
    });
    this.#started = { links, streams, presence, nodes, cuts };
    links.start();
    try {
      await this.#working(links);
      await checkRights(streams);
      presence.start();
      await nodes.start();
      this.#isWorking = true;
    } catch (error) {
      links.stop();
      this.#started = undefined;
      throw error;
    }
  }

  #isWorking = false;

  publish(topic: string, publish: EnginePublish, limits: HistoryLimits): Promise<EnginePublished> {
    return this.#parts.streams.publish(topic, publish, limits);
  }

  history(topic: string, range: HistoryRange, limits: HistoryLimits): Promise<HistoryRead> {
    return this.#parts.streams.history(topic, range, limits);
  }

  removeHistory(topic: string): Promise<void> {
    return this.#parts.streams.removeHistory(topic);
  }

  relay(topic: string, frame: Frame): void {
    this.#parts.streams.relay(topic, frame);
  }

  want(topic: string): Promise<void> {
    return this.#parts.streams.want(topic);
  }

  unwant(topic: string): void {
    this.#parts.streams.unwant(topic);
  }

  reported(topic: string): Promise<boolean> {
    return this.#parts.streams.reported(topic);
  }

  join(topic: string, member: Member, rule: PresenceLimits): Promise<void> {
    return this.#parts.presence.join(topic, member, rule);
  }

  leave(topic: string, address: string, rule: PresenceLimits): Promise<void> {
    return this.#parts.presence.leave(topic, address, rule);
  }

  letGo(topic: string, address: string): void {
    this.#parts.presence.letGo(topic, address);
  }

  members(topic: string, limit: number): Promise<readonly Member[]> {
    return this.#parts.presence.list(topic, limit);
  }

  memberStats(topic: string): Promise<PresenceStats> {
    return this.#parts.presence.stats(topic);
  }

  get cuts(): Cuts {
    return this.#parts.cuts;
  }

  sendControl(to: string | undefined, message: string, waits = false): void {
    this.#parts.nodes.send(to, message, waits);
  }

  announce(facts: string): void {
    this.#parts.nodes.announce(facts);
  }

  gauges(): Readonly<Record<string, number>> {
    if (this.#started === undefined) return {};
    const { links, streams, presence, nodes } = this.#started;
    const all = links.all();
    const sum = (value: (link: Link) => number): number => all.reduce((total, link) => total + value(link), 0);
    const { counts } = streams;
    return {
      links: all.length,
      links_up: all.filter(({ health }) => health.status === "up").length,
      lag_ms: Math.max(0, ...all.map(({ lagMs }) => lagMs)),
      pending_commands: sum(({ pending }) => pending),
      pending_bytes: sum(({ pendingBytes }) => pendingBytes),
      reconnects_total: sum(({ reconnects }) => reconnects),
      deaf_total: sum(({ deaf }) => deaf),
      doubts_total: this.#doubts,
      wanted_topics: streams.wantedTopics,
      published_total: counts.published,
      rejected_total: counts.rejected,
      received_total: counts.received,
      malformed_total: counts.malformed,
      offsets_went_back_total: counts.wentBack,
      relayed_total: counts.relayed,
      relays_dropped_total: counts.relaysDropped,
      waiting_dropped_total: counts.waitingDropped,
      members: presence.members,
      members_unstored: presence.unstored,
      nodes: nodes.count,
      control_dropped_total: nodes.dropped,
    };
  }

  async stop(): Promise<void> {
    const parts = this.#started;
    if (parts === undefined) return;
    this.#isWorking = false;
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_MS);
    });
    await Promise.race([Promise.allSettled([parts.presence.stop(), parts.nodes.stop()]), deadline]);
    clearTimeout(timer);
    parts.links.stop();
  }

  get #parts(): Parts {
    if (this.#started === undefined) throw new TypeError("the engine hasn't started");
    return this.#started;
  }

  #healthChanged(owner: EngineOwner): void {
    const linked: EngineHealth = this.#started?.links.health() ?? { status: "down" };
    const health: EngineHealth =
      this.#isFull && linked.status === "up" ? { status: "up", reason: OUT_OF_MEMORY } : linked;
    const before = this.#health;
    this.#health = health;
    this.#changed();
    // Until the engine has started, `start` tells what is wrong.
    if (this.#isWorking || this.#settings.waitForStart) {
      const isFuller = health.status === "up" && health.reason !== before.reason;
      if (health.status !== before.status || isFuller) owner.healthChanged(health);
    }
  }

  /** Resolves when all links work. Rejects after `connectTimeoutMs`, unless the engine waits at start. */
  #working(links: Links): Promise<void> {
    const { connectTimeoutMs, waitForStart } = this.#settings;
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(unreachable(links, connectTimeoutMs));
      const timer = waitForStart ? undefined : setTimeout(fail, connectTimeoutMs);
      this.#changed = () => {
        if (links.health().status !== "up") return;
        clearTimeout(timer);
        this.#changed = noop;
        resolve();
      };
      this.#changed();
    });
  }
}

/** Publishes to a stream that nobody can have. Rejects if the user of Redis may not do what the scripts do. */
async function checkRights(streams: Streams): Promise<void> {
  try {
    await streams.tryPublish();
  } catch (cause) {
    const reason = messageOf(cause);
    const message = `the engine can't store in Redis: ${reason}. Check that its user may use the keys and the commands that the README lists`;
    throw new SwitchboardError("ERR_ENGINE_UNREACHABLE", message, { cause });
  }
}

function unreachable(links: Links, ms: number): SwitchboardError {
  const { reason = "no answer" } = links.health();
  const message = `the engine can't reach Redis within ${ms} ms: ${reason}. Check that it runs, its address, user, password and TLS, and that the user may use the commands that the README lists`;
  return new SwitchboardError("ERR_ENGINE_UNREACHABLE", message);
}
