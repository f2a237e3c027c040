/**
 * The links to a Redis Cluster: one to each master that has hash slots. The map of slots is read again whenever a link
 * fails or a server says that a slot is elsewhere, and what was subscribed moves with its slot.
 */
import type { EngineHealth } from "../../../runtime/streams/engine.ts";
import { messageOf, nameOf, unavailable } from "../failures.ts";
import { SLOTS, slotOf } from "../keys.ts";
import type { Address } from "../options.ts";
import type { Script } from "../scripts/scripts.ts";
import type { CallOptions } from "./calls.ts";
import { Connection, type Reply } from "./connection.ts";
import { dialled, Link, type LinkOwner } from "./link.ts";
import type { Links, LinksOptions } from "./links.ts";
import { Redirects } from "./redirects.ts";

/** Time between two readings of the map while something is wrong with it, in ms. */
const REREAD_MS = 500;
/** Time between two readings while all is well, in ms. */
const REFRESH_MS = 15_000;
/** Number of channels that are tried, until one has a slot of a given server. */
const MAX_PROBES = 1_000_000;

/** A master, and its ranges of slots. */
interface Master {
  readonly address: Address;
  readonly ranges: (readonly [from: number, to: number])[];
}

interface MasterLink {
  readonly link: Link;
  readonly address: Address;
  readonly probeSlot: number;
}

export class ClusterLinks implements Links {
  readonly #options: LinksOptions;
  readonly #owner: LinkOwner;
  readonly #seeds: readonly Address[];
  readonly #links = new Map<string, MasterLink>();
  readonly #slots: (Link | undefined)[] = new Array<Link | undefined>(SLOTS).fill(undefined);
  readonly #redirects: Redirects;
  #reason: string | undefined = "the map of the cluster hasn't been read yet";
  #timer: NodeJS.Timeout | undefined;
  #isReading = false;
  #isStopped = false;

  constructor(options: LinksOptions, owner: LinkOwner, seeds: readonly Address[]) {
    this.#options = options;
    this.#seeds = seeds;
    this.#redirects = new Redirects({
      of: (key) => this.of(key),
      named: (name) => this.#links.get(name)?.link,
      timeoutMs: options.settings.commandTimeoutMs,
    });
    this.#owner = {
      restored: (link, isOtherServer) => owner.restored(link, isOtherServer),
      misrouted: () => this.#readSoon(0),
      healthChanged: (link) => {
        if (link.health.status !== "up") this.#readSoon(0);
        owner.healthChanged(link);
      },
    };
  }

  start(): void {
    void this.#read();
  }

  of(key: string): Link | undefined {
    return this.#slots[slotOf(key)];
  }

  run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    options?: CallOptions,
  ): Promise<Reply> {
    return this.#redirects.run(script, keys, args, options);
  }

  all(): readonly Link[] {
    return [...this.#links.values()].map(({ link }) => link);
  }

  health(): EngineHealth {
    if (this.#reason !== undefined) return { status: "down", reason: this.#reason };
    const healths = this.all().map(({ health }) => health);
    const worst = (["down", "deaf"] as const).find((one) => healths.some(({ status }) => status === one));
    return healths.find(({ status }) => status === worst) ?? { status: "up" };
  }

  stop(): void {
    this.#isStopped = true;
    this.#redirects.stop();
    clearTimeout(this.#timer);
    for (const { link } of this.#links.values()) link.stop();
  }

  #readSoon(ms: number): void {
    if (this.#isStopped || this.#isReading) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#read(), ms);
  }

  async #read(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    const before = this.#reason;
    try {
      const masters = await this.#ask();
      if (this.#isStopped) return;
      this.#use(masters);
      this.#reason = undefined;
    } catch (error) {
      // Without an earlier map nothing works. With one, the links that work go on.
      if (this.#links.size === 0) this.#reason = messageOf(error);
    } finally {
      this.#isReading = false;
    }
    const [link] = this.all();
    if (before !== this.#reason && link !== undefined) this.#owner.healthChanged(link);
    this.#readSoon(this.health().status === "up" ? REFRESH_MS : REREAD_MS);
  }

  /** Asks a server for the map: one whose link works, else any that is known. */
  async #ask(): Promise<Master[]> {
    const reasons: string[] = [];
    for (const link of this.all()) {
      if (link.health.status !== "up") continue;
      const reply = await link.send(["CLUSTER", "SLOTS"]).catch(() => undefined);
      if (reply !== undefined) return parseSlots(reply, undefined);
    }
    const known = [...this.#links.values()].map(({ address }) => address);
    for (const address of [...known, ...this.#seeds]) {
      try {
        return await this.#askAt(address);
      } catch (error) {
        reasons.push(messageOf(error));
      }
    }
    throw unavailable(`no server gives the map of the cluster: ${reasons.join("; ")}`);
  }

  async #askAt(address: Address): Promise<Master[]> {
    const { redis, settings } = this.#options;
    const { access, connectTimeoutMs, commandTimeoutMs } = settings;
    const options = { address, access, connectTimeoutMs, commandTimeoutMs };
    const connection = await Connection.open(redis, { ...options, lost: () => undefined, received: () => undefined });
    try {
      return parseSlots(await connection.send(["CLUSTER", "SLOTS"]), address);
    } finally {
      connection.close("the server was asked");
    }
  }

  #use(masters: readonly Master[]): void {
    const old = [...this.#links.values()];
    const owners = new Array<string | undefined>(SLOTS).fill(undefined);
    for (const { address, ranges } of masters) {
      for (const [from, to] of ranges) owners.fill(nameOf(address), from, to + 1);
    }
    for (const { address } of masters) {
      const name = nameOf(address);
      const known = this.#links.get(name);
      // A link listens to itself on a slot of its server. When that slot has moved, another link takes its place.
      if (known !== undefined && owners[known.probeSlot] === name) continue;
      this.#links.set(
        name,
        this.#create(address, (slot) => owners[slot] === name),
      );
    }
    for (let slot = 0; slot < SLOTS; slot++) this.#slots[slot] = this.#links.get(owners[slot] ?? "")?.link;
    for (const one of old) this.#retire(one, masters);
    for (const link of this.all()) if (!old.some((one) => one.link === link)) link.start();
  }

  /** Moves what has moved away from a link, and ends the link if nothing is left for it to do. */
  #retire({ link, address }: MasterLink, masters: readonly Master[]): void {
    const name = nameOf(address);
    const isReplaced = this.#links.get(name)?.link !== link;
    const isOver = isReplaced || !masters.some((master) => nameOf(master.address) === name);
    if (isOver) link.forgetProbe();
    link.subscriptions.moveTo((channel) => {
      const target = this.of(channel);
      return target === link ? undefined : target?.subscriptions;
    });
    // Channels whose slot nobody has now stay, and the health of their link tells.
    if (!isOver || link.subscriptions.count > 0) return;
    link.stop();
    if (!isReplaced) this.#links.delete(name);
  }

  #create(address: Address, isOwn: (slot: number) => boolean): MasterLink {
    const { redis, settings, scripts, probeChannel } = this.#options;
    let number = 0;
    while (!isOwn(slotOf(probeChannel(number))) && number < MAX_PROBES) number++;
    const channel = probeChannel(number);
    const options = {
      redis,
      settings,
      scripts,
      dial: dialled(address),
      probeChannel: channel,
      slotNumber: number,
      isCluster: true,
    };
    return { link: new Link(options, this.#owner), address, probeSlot: slotOf(channel) };
  }
}

/**
 * Takes the answer of `CLUSTER SLOTS` apart. A server that doesn't know its own address has the one that was dialled.
 */
function parseSlots(reply: Reply, asked: Address | undefined): Master[] {
  const masters = new Map<string, Master>();
  for (const range of Array.isArray(reply) ? reply : []) {
    const [from, to, server] = range as [number, number, [string | null, number]];
    const host = server[0] || asked?.host;
    if (!host) continue;
    const address = { host, port: Number(server[1]) };
    const known = masters.get(nameOf(address)) ?? { address, ranges: [] };
    known.ranges.push([Number(from), Number(to)]);
    masters.set(nameOf(address), known);
  }
  if (masters.size === 0) throw unavailable("the map of the cluster has no hash slots");
  return [...masters.values()];
}
