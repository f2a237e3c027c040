/**
 * Which links there are: one to a server, or to the master that sentinels name. Clusters have their own, `cluster.ts`.
 */
import type { EngineHealth } from "../../../runtime/streams/engine.ts";
import { messageOf, nameOf, unavailable } from "../failures.ts";
import type { Access, Address, RedisSettings, Topology } from "../options.ts";
import type { Script, Scripts } from "../scripts/scripts.ts";
import type { CallOptions } from "./calls.ts";
import { Connection, type RedisClientPackage, type Reply } from "./connection.ts";
import { dialled, Link, type LinkOwner } from "./link.ts";

/** The links of an engine. */
export interface Links {
  start(): void;
  /** The link to the server that has a key or a channel. Undefined while no server has it. */
  of(key: string): Link | undefined;
  /** Runs a script on the server that has its keys. Rejects with `ERR_ENGINE_UNAVAILABLE` or `ERR_ENGINE_FULL`. */
  run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    options?: CallOptions,
  ): Promise<Reply>;
  all(): readonly Link[];
  /** The worst health of all. */
  health(): EngineHealth;
  stop(): void;
}

export interface LinksOptions {
  readonly redis: RedisClientPackage;
  readonly settings: RedisSettings;
  readonly scripts: Scripts;
  /** Names the channel of a link's probe. */
  readonly probeChannel: (number: number) => string;
}

/** The link to one server. */
export class SingleLink implements Links {
  readonly #link: Link;

  constructor(
    { redis, settings, scripts, probeChannel }: LinksOptions,
    owner: LinkOwner,
    topology: Exclude<Topology, { readonly kind: "cluster" }>,
  ) {
    const dial = topology.kind === "single" ? dialled(topology.address) : () => askSentinels(redis, settings, topology);
    this.#link = new Link(
      { redis, settings, scripts, dial, probeChannel: probeChannel(0), slotNumber: 0, isCluster: false },
      owner,
    );
  }

  start(): void {
    this.#link.start();
  }

  of(): Link {
    return this.#link;
  }

  run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    options?: CallOptions,
  ): Promise<Reply> {
    return this.#link.calls.run(script, keys, args, options);
  }

  all(): readonly Link[] {
    return [this.#link];
  }

  health(): EngineHealth {
    return this.#link.health;
  }

  stop(): void {
    this.#link.stop();
  }
}

interface Sentinels {
  readonly name: string;
  readonly sentinels: readonly Address[];
  readonly access: Access;
}

/** Asks one sentinel after the other for the master. Rejects if none knows one. */
async function askSentinels(
  redis: RedisClientPackage,
  { connectTimeoutMs, commandTimeoutMs }: RedisSettings,
  { name, sentinels, access }: Sentinels,
): Promise<Address> {
  const reasons: string[] = [];
  for (const address of sentinels) {
    try {
      const found = await ask(redis, { address, access, connectTimeoutMs, commandTimeoutMs }, name);
      if (found !== undefined) return found;
      reasons.push(`${nameOf(address)} knows no master ${JSON.stringify(name)}`);
    } catch (error) {
      const reason = messageOf(error);
      reasons.push(reason.includes(nameOf(address)) ? reason : `${nameOf(address)}: ${reason}`);
    }
  }
  throw unavailable(`no sentinel names the master: ${reasons.join("; ")}`);
}

async function ask(
  redis: RedisClientPackage,
  options: {
    readonly address: Address;
    readonly access: Access;
    readonly connectTimeoutMs: number;
    readonly commandTimeoutMs: number;
  },
  name: string,
): Promise<Address | undefined> {
  const connection = await Connection.open(redis, { ...options, lost: () => undefined, received: () => undefined });
  try {
    const reply = await connection.send(["SENTINEL", "get-master-addr-by-name", name]);
    if (!Array.isArray(reply)) return undefined;
    const [host, port] = reply as string[];
    return { host: String(host), port: Number(port) };
  } finally {
    connection.close("the sentinel was asked");
  }
}
