/**
 * The link to one server: a connection for commands, one for subscriptions, and a probe that goes out on the first and
 * must come back on the second. The engine has one link; in a Redis Cluster one for each master.
 */
import type { EngineHealth } from "../../../runtime/streams/engine.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import { failureOf, messageOf, nameOf, refused, unavailable } from "../failures.ts";
import type { Address, RedisSettings } from "../options.ts";
import { identityOf, type Script, type Scripts } from "../scripts/scripts.ts";
import { Calls } from "./calls.ts";
import { type Connection, MISROUTED, type RedisClientPackage, type Reply, wasNotRun } from "./connection.ts";
import { Line } from "./line.ts";
import { type Listener, Subscriptions } from "./subscriptions.ts";

export interface LinkOptions {
  readonly redis: RedisClientPackage;
  readonly settings: RedisSettings;
  readonly scripts: Scripts;
  readonly dial: () => Promise<Address>;
  /** Channel that only this node uses, and only on this link. */
  readonly probeChannel: string;
  /** Number that chooses a hash slot of the server, in names of channels. */
  readonly slotNumber: number;
  readonly isCluster: boolean;
}

export interface LinkOwner {
  /** The health of the link has changed. */
  healthChanged(link: Link): void;
  /**
   * The link works again, or for the first time. What was published while it was away is lost.
   *
   * @param isOtherServer true if the server was restarted or replaced meanwhile: it may have lost data
   */
  restored(link: Link, isOtherServer: boolean): void;
  /** The server says that another server of the cluster has a hash slot. */
  misrouted(link: Link): void;
}

const NOT_YET = "the engine isn't connected yet";
/** Times `commandTimeoutMs` for which a probe may be late while other messages arrive. */
const MAX_LATE = 6;
export class Link {
  readonly calls: Calls;
  readonly subscriptions: Subscriptions;
  readonly #options: LinkOptions;
  readonly #owner: LinkOwner;
  readonly #commands: Line;
  readonly #subscriber: Line;
  #identity = "";
  /** Identity when the link last worked. */
  #provenIdentity = "";
  #health: EngineHealth = { status: "down", reason: NOT_YET };
  #commandsReason = NOT_YET;
  #subscriberReason = NOT_YET;
  /** True from the first probe that came back over the connection for subscriptions. */
  #isHeard = false;
  #timer: NodeJS.Timeout | undefined;
  #probed = performance.now();
  #probes: { readonly number: number; at: number }[] = [];
  #probeNumber = 0;
  /** Number of messages that arrived over the connection for subscriptions. */
  #messages = 0;
  #messagesBefore = 0;
  /** Time at which the last of them was noticed. */
  #heardAt = 0;
  #lagMs = 0;
  #deaf = 0;

  constructor(options: LinkOptions, owner: LinkOwner) {
    const { redis, settings, dial, isCluster } = options;
    this.#options = options;
    this.#owner = owner;
    this.calls = new Calls({
      connection: () => this.#commands.connection,
      identity: () => this.#identity,
      reason: () => this.#commandsReason,
      mend: (connection) => this.#introduce(connection),
      misrouted: () => owner.misrouted(this),
    });
    this.subscriptions = new Subscriptions(isCluster, () => owner.misrouted(this));
    const { access, connectTimeoutMs, commandTimeoutMs } = settings;
    const common = { access, connectTimeoutMs, commandTimeoutMs, dial };
    this.#commands = new Line(redis, {
      ...common,
      received: noop,
      setUp: (connection) => this.#introduce(connection),
      trying: (address) => {
        if (this.#commandsReason !== NOT_YET) return;
        this.#commandsReason = `${nameOf(address)} hasn't answered yet`;
        this.#evaluate();
      },
      up: () => this.#probe(),
      down: (reason) => {
        this.#commandsReason = reason;
        // The next connection may lead to another server than that for subscriptions: a probe has to come back first.
        this.#unhear();
      },
    });
    this.#subscriber = new Line(redis, {
      ...common,
      received: (channel, bytes) => {
        this.#messages++;
        this.subscriptions.received(channel, bytes);
      },
      setUp: (connection) => {
        this.#listenToProbe();
        return this.subscriptions.restore(connection);
      },
      trying: noop,
      up: () => this.#probe(),
      down: (reason) => {
        this.#subscriberReason = reason;
        this.subscriptions.suspend();
        this.#unhear();
      },
    });
  }

  get health(): EngineHealth {
    return this.#health;
  }

  /** Number that chooses a hash slot of this link's server, in names of channels. */
  get slotNumber(): number {
    return this.#options.slotNumber;
  }

  get lagMs(): number {
    const oldest = this.#probes[0];
    return Math.max(this.#lagMs, oldest === undefined ? 0 : performance.now() - oldest.at);
  }

  get pending(): number {
    return this.calls.waiting + (this.#commands.connection?.pending ?? 0);
  }

  get pendingBytes(): number {
    return this.#commands.connection?.pendingBytes ?? 0;
  }

  get reconnects(): number {
    return this.#commands.reconnects + this.#subscriber.reconnects;
  }

  /** Times that the probe didn't come back. */
  get deaf(): number {
    return this.#deaf;
  }

  start(): void {
    this.#commands.start();
    this.#subscriber.start();
    this.#timer = setInterval(() => this.#tick(), this.#options.settings.probeIntervalMs);
  }

  /** Stops listening to itself: the link isn't used any more. */
  forgetProbe(): void {
    this.subscriptions.remove(this.#options.probeChannel);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#commands.stop();
    this.#subscriber.stop();
  }

  /** Sends a command that isn't sent again. */
  async send(args: readonly (string | Buffer)[], bytes = 0): Promise<Reply> {
    const { connection } = this.#commands;
    if (connection === undefined) throw refused(this.#commandsReason);
    try {
      return await connection.send(args, false, bytes);
    } catch (error) {
      if (wasNotRun(error, MISROUTED)) this.#owner.misrouted(this);
      throw failureOf(error);
    }
  }

  /** Publishes without waiting for the answer. Rejects if the message didn't leave. */
  publish(channel: string, message: string | Buffer): Promise<Reply> {
    return this.send([this.#options.isCluster ? "SPUBLISH" : "PUBLISH", channel, message], message.length);
  }

  listen(channel: string, listener: Listener): Promise<void> {
    return this.subscriptions.add(channel, listener);
  }

  /**
   * Resolves with true when all messages that the server has published so far have arrived, and with false if the
   * connection for subscriptions is lost.
   */
  heard(): Promise<boolean> {
    // Redis answers behind the messages that it has sent on the same connection.
    return this.#subscriber.pinged();
  }

  /** Loads the scripts, and learns which server this is. Rejects for a replica. */
  async #introduce(connection: Connection): Promise<void> {
    const loads = Object.values(this.#options.scripts).map(({ text }: Script) =>
      connection.send(["SCRIPT", "LOAD", text]),
    );
    const [server, replication] = await Promise.all([
      connection.send(["INFO", "server"]),
      connection.send(["INFO", "replication"]),
      ...loads,
    ]);
    if (!/role:master/.test(String(replication))) throw unavailable("the server is a replica");
    this.#identity = identityOf(String(server), String(replication));
    this.#server = String(server);
  }

  #server = "";

  #tick(): void {
    const { commandTimeoutMs, probeIntervalMs } = this.#options.settings;
    const now = performance.now();
    // While this thread stood still it couldn't hear: that time doesn't count.
    const late = now - this.#probed - probeIntervalMs;
    this.#probed = now;
    if (late > 1) for (const probe of this.#probes) probe.at += late;
    // While there is a connection, the connection itself notices that an answer is overdue.
    if (this.#subscriber.connection === undefined) {
      this.subscriptions.expire(commandTimeoutMs, this.#subscriberReason);
    }
    if (this.#messages !== this.#messagesBefore) this.#heardAt = now;
    this.#messagesBefore = this.#messages;
    const oldest = this.#probes[0];
    const age = oldest === undefined ? 0 : now - oldest.at;
    // A node that has much to read is late, not deaf: another connection would only add to its work.
    const isLate = now - this.#heardAt < commandTimeoutMs && age < commandTimeoutMs * MAX_LATE;
    if (age >= commandTimeoutMs && !isLate) {
      this.#deaf++;
      this.#subscriber.replace(`what is published didn't come back within ${commandTimeoutMs} ms`);
      return;
    }
    this.#probe();
    this.#checkIdentity();
  }

  /** Listens to this node itself; on each new connection again, if Redis has said no before. */
  #listenToProbe(): void {
    const received = (bytes: Buffer): void => this.#echoed(Number(bytes.toString()));
    this.subscriptions.add(this.#options.probeChannel, { received }).catch(this.#probeFailed);
  }

  readonly #probeFailed = (error: unknown): void => {
    this.#subscriberReason = messageOf(error);
    this.#evaluate();
  };

  /** Publishes to this node itself. */
  #probe(): void {
    if (this.#commands.connection === undefined || this.#subscriber.connection === undefined) {
      this.#evaluate();
      return;
    }
    const number = ++this.#probeNumber;
    this.#probes.push({ number, at: performance.now() });
    this.publish(this.#options.probeChannel, String(number)).catch(this.#probeFailed);
    this.#evaluate();
  }

  #echoed(number: number): void {
    const index = this.#probes.findIndex((probe) => probe.number === number);
    const probe = this.#probes[index];
    // A probe of the connection before.
    if (probe === undefined) return;
    this.#probes.splice(0, index + 1);
    this.#lagMs = performance.now() - probe.at;
    if (this.#isHeard) return;
    this.#isHeard = true;
    this.#evaluate();
  }

  /** The role of a server may change while its connections stay. */
  #checkIdentity(): void {
    const { connection } = this.#commands;
    connection
      ?.send(["INFO", "replication"])
      .then((replication) => {
        const isSame = identityOf(this.#server, String(replication)) === this.#identity;
        if (!isSame || !/role:master/.test(String(replication))) connection.close("the server's role has changed");
      })
      .catch(noop);
  }

  #unhear(): void {
    this.#isHeard = false;
    this.#probes = [];
    this.#lagMs = 0;
    this.#evaluate();
  }

  #evaluate(): void {
    const before = this.#health.status;
    if (this.#commands.connection === undefined) {
      this.#health = { status: "down", reason: this.#commandsReason };
    } else if (this.#subscriber.connection === undefined || !this.#isHeard) {
      this.#health = { status: "deaf", reason: this.#subscriberReason };
    } else {
      this.#health = { status: "up" };
    }
    if (this.#health.status === before) return;
    this.#owner.healthChanged(this);
    if (this.#health.status !== "up") return;
    const isOtherServer = this.#identity !== this.#provenIdentity;
    this.#provenIdentity = this.#identity;
    this.#owner.restored(this, isOtherServer);
  }
}

/** Returns how to dial a server whose address is known. */
export function dialled(address: Address): () => Promise<Address> {
  return () => Promise.resolve(address);
}
