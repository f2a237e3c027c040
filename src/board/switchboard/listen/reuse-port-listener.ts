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
  /** Has a shard accept with this server. Throws when the server can't be moved there. */
  giveServer(shard: number, server: Server, listener: number): void;
  /** A shard that was replaced can't accept yet; it is tried again. */
  acceptFailed(error: Error): void;
}

/** How long after a failure a replaced shard is given its port again. */
const RETRY_MS = 1_000;

/**
 * A port on which each shard accepts by itself, and the operating system spreads the connections (SO_REUSEPORT): the main thread has no part
 * in a connection, and is no bottleneck when all peers return at once.
 */
export class ReusePortListener {
  readonly listenerId: number;
  settings: ShardPortSettings;
  readonly #owner: ReusePortListenerOwner;
  #address: AddressInfo | undefined;
  #host: string | undefined;
  /** By shard. */
  readonly #retries = new Map<number, NodeJS.Timeout>();
  #closed = false;

  constructor(listener: number, settings: ShardPortSettings, owner: ReusePortListenerOwner) {
    this.listenerId = listener;
    this.settings = settings;
    this.#owner = owner;
  }

  /** Rejects as `openServer` does, and with `ERR_ACCEPT_IN_SHARDS` where the system can't spread connections. */
  async listen(port: number, host: string | undefined, signal: AbortSignal): Promise<AddressInfo> {
    this.#host = host;
    // Ports may be shared with another program of the same user: a server that shares nothing finds out whether this one is free. Workers of a
    // cluster share theirs by intent.
    const first = await bind(port, host, cluster.isWorker, signal);
    this.#address = first.address() as AddressInfo;
    if (this.#owner.shards === 1) {
      this.#owner.giveServer(0, first, this.listenerId);
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
    for (const [shard, server] of servers.entries()) this.#owner.giveServer(shard, server, this.listenerId);
    return this.#address;
  }

  /** Has a shard that was replaced accept again. When that fails, such as for want of descriptors, it is tried until it succeeds. */
  async reopen(shard: number): Promise<void> {
    const { closing } = this.#owner;
    clearTimeout(this.#retries.get(shard));
    if (this.#address === undefined || this.#closed || closing.aborted) return;
    try {
      this.#owner.giveServer(shard, await this.#bindOne(closing), this.listenerId);
    } catch (error) {
      if (this.#closed || closing.aborted) return;
      this.#retries.set(
        shard,
        setTimeout(() => void this.reopen(shard), RETRY_MS),
      );
      this.#owner.acceptFailed(error as Error);
    }
  }

  /** The shards close their ends themselves, when they drain. */
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
  // Exclusive: a worker of a cluster would otherwise share its primary's handle, which no thread can accept with.
  try {
    await openServer(server, { port, reusePort, exclusive: true, ...(host !== undefined && { host }) }, signal);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOTSUP") throw cause;
    const message = 'this operating system doesn\'t spread the connections of a port over threads: use accept: "main"';
    throw new SwitchboardError("ERR_ACCEPT_IN_SHARDS", message, { cause });
  }
  return server;
}
