/** A port of the board on which every shard accepts by itself. */
import cluster from "node:cluster";
import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import { SwitchboardError } from "../../../errors.ts";
import { createMovableServer } from "../../../wire/transport/raw-socket-server.ts";
import type { ShardPortSettings } from "../../accept/shard-port.ts";
import { openServer } from "./open-server.ts";

export interface ReusePortListenerOwner {
  readonly shards: number;
  /** Aborted when the board begins to close. */
  readonly closing: AbortSignal;
  /** Lets a shard accept with this server. Throws, and closes the server, if the server can't be moved there. */
  giveServer(shard: number, server: Server): void;
  /** A shard can't accept yet. It gets its port later. */
  acceptFailed(error: Error): void;
}

/** Milliseconds after a failure until a replaced shard gets its port again. */
const RETRY_MS = 1_000;

/**
 * A port on which each shard accepts by itself; the operating system spreads the connections (SO_REUSEPORT). The main
 * thread takes no part in a connection, so it is no bottleneck when all peers return at once.
 */
export class ReusePortListener {
  readonly listenerId: number;
  settings: ShardPortSettings;
  readonly #owner: ReusePortListenerOwner;
  #address: AddressInfo | undefined;
  #host: string | undefined;
  /** Timers of the next attempts, by shard. */
  readonly #retries = new Map<number, NodeJS.Timeout>();
  #closed = false;

  constructor(listenerId: number, settings: ShardPortSettings, owner: ReusePortListenerOwner) {
    this.listenerId = listenerId;
    this.settings = settings;
    this.#owner = owner;
  }

  /** Rejects as `openServer` does, and with `ERR_ACCEPT_IN_SHARDS` if the system can't spread connections. */
  async listen(port: number, host: string | undefined, signal: AbortSignal): Promise<AddressInfo> {
    this.#host = host;
    // Another program of the same user may share the port: a server without sharing finds out whether the port is free.
    // Workers of a cluster share it on purpose.
    const first = await bind(port, host, cluster.isWorker, signal);
    this.#address = first.address() as AddressInfo;
    if (this.#owner.shards === 1) {
      this.#owner.giveServer(0, first);
      return this.#address;
    }
    first.close();
    await once(first, "close");
    const servers: Server[] = [];
    try {
      for (let shard = 0; shard < this.#owner.shards; shard++) servers.push(await this.#bindOne(signal));
    } catch (error) {
      for (const server of servers) server.close();
      throw error;
    }
    this.#giveServers(servers);
    return this.#address;
  }

  /** A shard that doesn't get its server now gets one later. Throws if no shard gets one. */
  #giveServers(servers: readonly Server[]): void {
    const failures: { readonly shard: number; readonly error: unknown }[] = [];
    for (const [shard, server] of servers.entries()) {
      try {
        this.#owner.giveServer(shard, server);
      } catch (error) {
        failures.push({ shard, error });
      }
    }
    if (failures.length === servers.length) throw failures[0]?.error;
    for (const { shard, error } of failures) this.#retryLater(shard, error as Error);
  }

  /** Lets a replaced shard accept again. A failure, such as a lack of descriptors, is retried until it succeeds. */
  async reopen(shard: number): Promise<void> {
    const { closing } = this.#owner;
    clearTimeout(this.#retries.get(shard));
    if (this.#address === undefined || this.#closed || closing.aborted) return;
    try {
      this.#owner.giveServer(shard, await this.#bindOne(closing));
    } catch (error) {
      if (!this.#closed && !closing.aborted) this.#retryLater(shard, error as Error);
    }
  }

  #retryLater(shard: number, error: Error): void {
    const timer = setTimeout(() => void this.reopen(shard), RETRY_MS);
    this.#retries.set(shard, timer);
    this.#owner.acceptFailed(error);
  }

  /** The shards close their ends themselves when they shut down. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#retries.values()) clearTimeout(timer);
  }

  get port(): number | undefined {
    return this.#address?.port;
  }

  #bindOne(signal: AbortSignal): Promise<Server> {
    return bind((this.#address as AddressInfo).port, this.#host, cluster.isWorker || this.#owner.shards > 1, signal);
  }
}

async function bind(port: number, host: string | undefined, reusePort: boolean, signal: AbortSignal): Promise<Server> {
  const server = createMovableServer();
  // Exclusive: a worker of a cluster would otherwise share the primary's handle, with which no thread can accept.
  try {
    await openServer(server, { port, reusePort, exclusive: true, ...(host !== undefined && { host }) }, signal);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOTSUP") throw cause;
    const message = 'this operating system doesn\'t spread the connections of a port over threads: use accept: "main"';
    throw new SwitchboardError("ERR_ACCEPT_IN_SHARDS", message, { cause });
  }
  return server;
}
