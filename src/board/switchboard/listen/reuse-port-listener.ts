/** A port of the board on which every shard accepts by itself. */
import { once } from "node:events";
import type { AddressInfo, Server, Socket } from "node:net";
import { SwitchboardError } from "../../../errors.ts";
import { duplicate } from "../../../wire/native/pass-descriptors.ts";
import { closeDescriptor } from "../../../wire/native/sockets.ts";
import { builtins } from "../../../wire/node-internals/builtins.ts";
import { descriptorOf } from "../../../wire/node-internals/net.ts";
import { createMovableServer } from "../../../wire/transport/raw-socket-server.ts";
import type { ShardPortSettings } from "../../accept/shard-port.ts";
import type { AskedSocket } from "./inheritance.ts";
import { type ListeningSockets, nameOf, type PassableSockets } from "./listening-sockets.ts";
import { openServer } from "./open-server.ts";

export interface ReusePortListenerOwner {
  readonly shards: number;
  /** Aborted when the board begins to close. */
  readonly closing: AbortSignal;
  readonly sockets: ListeningSockets;
  /** Lets a shard accept with this server. Throws, and closes the server, if the server can't be moved there. */
  giveServer(shard: number, server: Server): void;
  /** Gives a shard a socket that an earlier process has accepted. */
  forward(socket: Socket, isSecure: boolean): void;
  /** A shard can't accept yet. It gets its port later. */
  acceptFailed(error: Error): void;
}

/** Milliseconds after a failure until a replaced shard gets its port again. */
const RETRY_MS = 1_000;

/**
 * A port on which each shard accepts by itself; the operating system spreads the connections (SO_REUSEPORT). The main
 * thread takes no part in a connection, so it is no bottleneck when all peers return at once.
 */
export class ReusePortListener implements PassableSockets {
  readonly listenerId: number;
  settings: ShardPortSettings;
  readonly #owner: ReusePortListenerOwner;
  #address: AddressInfo | undefined;
  #host: string | undefined;
  /** Timers of the next attempts, by shard. */
  readonly #retries = new Map<number, NodeJS.Timeout>();
  #closed = false;
  /** True while another process takes over: a shard that is replaced meanwhile gets its port with all others. */
  #isPaused = false;
  /** Descriptors of the sockets by shard, if another process may take them over. Several shards may share one. */
  #kept: (readonly number[])[] = [];

  constructor(listenerId: number, settings: ShardPortSettings, owner: ReusePortListenerOwner) {
    this.listenerId = listenerId;
    this.settings = settings;
    this.#owner = owner;
  }

  /** Rejects as `openServer` does, and with `ERR_ACCEPT_IN_SHARDS` if the system can't spread connections. */
  async listen(port: number, host: string | undefined, signal: AbortSignal): Promise<AddressInfo> {
    this.#host = host;
    this.asked = host === undefined ? { port } : { port, host };
    const { sockets } = this.#owner;
    const inherited = sockets.claim(this.asked);
    if (inherited !== undefined) {
      this.#address = inherited.address as AddressInfo;
      this.#keepInherited(inherited.descriptors);
      sockets.add(this);
      await sockets.settled();
      return this.#address;
    }
    try {
      await this.#listen(port, host, signal);
    } catch (error) {
      throw sockets.refused(this.asked, error as Error);
    }
    if (sockets.isPassable) sockets.add(this);
    return this.address;
  }

  async #listen(port: number, host: string | undefined, signal: AbortSignal): Promise<void> {
    // Another program of the same user may share the port: a server without sharing finds out whether the port is free.
    // Workers of a cluster share it on purpose.
    const first = await bind(port, host, builtins.cluster.isWorker, signal);
    this.#address = first.address() as AddressInfo;
    if (this.#owner.shards === 1) {
      this.#keep([first]);
      this.#owner.giveServer(0, first);
      return;
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
    this.#keep(servers);
    this.#giveServers(servers);
  }

  #keep(servers: readonly Server[]): void {
    if (this.#owner.sockets.isPassable) this.#kept = servers.map((server) => [duplicate(descriptorOf(server))]);
  }

  /** With fewer sockets than shards, several shards accept from one. */
  #keepInherited(all: readonly number[]): void {
    const { shards } = this.#owner;
    this.#kept = Array.from({ length: shards }, (_, shard) => {
      if (all.length < shards) return [all[shard % all.length] as number];
      return all.filter((_, index) => index % shards === shard);
    });
  }

  // ── for a takeover ─────────────────────────────────────────────────────────────────────────────────────

  asked: AskedSocket = {};

  get address(): AddressInfo {
    return this.#address as AddressInfo;
  }

  get descriptors(): readonly number[] {
    return [...new Set(this.#kept.flat())];
  }

  /** Name of the listening sockets for another process; undefined if nobody can take them over. */
  get name(): string | undefined {
    return this.#owner.sockets.isPassable ? nameOf(this.address) : undefined;
  }

  /** The shards close their servers themselves. */
  pause(): void {
    this.#isPaused = true;
  }

  adopt(socket: Socket): void {
    this.#owner.forward(socket, this.settings.tls !== undefined);
  }

  /** The shards have the sockets. */
  passIdleOn(): void {}

  async goOn(): Promise<void> {
    this.#isPaused = false;
    for (let shard = 0; shard < this.#owner.shards; shard++) await this.reopen(shard);
  }

  /** Gives a shard its sockets. */
  async #giveKept(shard: number): Promise<void> {
    for (const descriptor of this.#kept[shard] ?? []) {
      const server = createMovableServer();
      await openServer(server, { fd: duplicate(descriptor) }, undefined);
      this.#owner.giveServer(shard, server);
    }
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

  /** Lets a shard accept again. A failure, such as a lack of descriptors, is retried until it succeeds. */
  async reopen(shard: number): Promise<void> {
    const { closing } = this.#owner;
    clearTimeout(this.#retries.get(shard));
    if (this.#address === undefined || this.#isPaused || this.#closed || closing.aborted) return;
    try {
      // A socket without a thread would take connections that nobody serves.
      if (this.#kept.length > 0) await this.#giveKept(shard);
      else this.#owner.giveServer(shard, await this.#bindOne(closing));
    } catch (error) {
      if (!this.#closed && !closing.aborted) this.#retryLater(shard, error as Error);
    }
  }

  /** The shard isn't started again: its sockets would take connections that nobody serves. */
  shardFailed(shard: number): void {
    const own = this.#kept[shard];
    if (own === undefined) return;
    this.#kept[shard] = [];
    const left = this.descriptors;
    for (const descriptor of own) if (!left.includes(descriptor)) closeDescriptor(descriptor);
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
    for (const descriptor of this.descriptors) closeDescriptor(descriptor);
    this.#kept = [];
  }

  get port(): number | undefined {
    return this.#address?.port;
  }

  #bindOne(signal: AbortSignal): Promise<Server> {
    return bind(
      (this.#address as AddressInfo).port,
      this.#host,
      builtins.cluster.isWorker || this.#owner.shards > 1,
      signal,
    );
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
