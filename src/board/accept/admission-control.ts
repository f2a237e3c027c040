/**
 * Decides whether one more connection fits the limits of the board. Used by the main thread: by the acceptor for each
 * handshake, and by the listeners for each accepted socket.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { TokenBucket } from "../../runtime/scheduling/token-bucket.ts";
import { clientKey, normalizeAddress } from "../../wire/transport/ip-address.ts";
import type { UpgradeRefusal } from "../../wire/upgrade/response.ts";
import { ClientAddresses } from "./client-address.ts";

/** Limits on the number of connections of a board. Handshakes under way count as connections. */
export interface AdmissionLimits {
  /** Connections of the whole board. Default: no limit. */
  readonly maxConnections?: number;
  /** Connections of each shard. Default: no limit. */
  readonly maxConnectionsPerShard?: number;
  /** Connections of each client: an IPv4 address, or an IPv6 /64. See `trustedProxies`. Default: no limit. */
  readonly maxConnectionsPerAddress?: number;
  /** Handshakes that may begin in one second. After a pause, as many may begin at once. Default: no limit. */
  readonly maxUpgradesPerSecond?: number;
  /**
   * Addresses and networks (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` is believed; `unix:` stands for every peer
   * of a Unix socket. The client is the last address of that header that isn't a trusted proxy's: for
   * `maxConnectionsPerAddress`, and for `this.request.clientAddress` in actors. Default: none, the client is the peer.
   */
  readonly trustedProxies?: readonly string[];
}

/** A place that is kept for a handshake. */
export interface Permit {
  /** The key under which the client is counted; undefined where clients aren't counted. */
  readonly clientKey: string | undefined;
  /** Gives the place to the destination, which counts it from now on. */
  commit(): void;
  /** Frees the place. Does nothing after `commit`, or when called again. */
  release(): void;
}

/** The connections that a board has now. */
export interface Capacity {
  /** Connections in all shards, and on their way to them. */
  readonly connections: number;
  /** Connections that the shards may still take. */
  readonly room: number;
}

const BUSY: UpgradeRefusal = { status: 503, headers: { "Retry-After": "5" } };
const TOO_FAST: UpgradeRefusal = { status: 503, headers: { "Retry-After": "1" } };
const TOO_MANY: UpgradeRefusal = { status: 429, headers: { "Retry-After": "5" } };

/**
 * Lets handshakes begin, or not. What it lets in is counted here until it is handed to a shard, and from then on by the
 * shard's occupancy: both change in one turn of the main thread, so that the counts are exact however many handshakes
 * run at once.
 */
export class AdmissionControl {
  readonly #limits: AdmissionLimits;
  readonly #premises: () => Capacity;
  readonly #rate: TokenBucket | undefined;
  readonly #clients: ClientAddresses;
  /** Connections and handshakes of each client. */
  readonly #byAddress = new Map<string, number>();
  #pending = 0;

  constructor(limits: AdmissionLimits, premises: () => Capacity) {
    const { maxUpgradesPerSecond, trustedProxies = [] } = limits;
    this.#limits = limits;
    this.#premises = premises;
    this.#rate =
      maxUpgradesPerSecond === undefined ? undefined : new TokenBucket(maxUpgradesPerSecond, performance.now());
    this.#clients = new ClientAddresses(trustedProxies);
  }

  /** True when any limit is set. */
  static isNeeded(limits: AdmissionLimits): boolean {
    const { maxConnections, maxConnectionsPerShard, maxConnectionsPerAddress, maxUpgradesPerSecond } = limits;
    return [maxConnections, maxConnectionsPerShard, maxConnectionsPerAddress, maxUpgradesPerSecond].some(
      (limit) => limit !== undefined,
    );
  }

  /** Keeps a place for a handshake that begins, or returns the refusal. */
  admit(request: IncomingMessage): Permit | UpgradeRefusal {
    const { maxConnectionsPerAddress } = this.#limits;
    if (maxConnectionsPerAddress === undefined) return this.#admit(undefined);
    return this.#admit(this.#clients.of(request.headers, request.socket.remoteAddress));
  }

  /** Keeps a place for a socket from which nothing was read. Its client is its peer. */
  admitUnread({ remoteAddress }: Socket): Permit | UpgradeRefusal {
    const isCounted = this.#limits.maxConnectionsPerAddress !== undefined && remoteAddress !== undefined;
    return this.#admit(isCounted ? normalizeAddress(remoteAddress) : undefined);
  }

  #admit(client: string | undefined): Permit | UpgradeRefusal {
    const { maxConnections = Number.POSITIVE_INFINITY, maxConnectionsPerAddress = Number.POSITIVE_INFINITY } =
      this.#limits;
    const address = client && clientKey(client);
    if (address !== undefined && (this.#byAddress.get(address) ?? 0) >= maxConnectionsPerAddress) return TOO_MANY;
    const { connections, room } = this.#premises();
    if (connections + this.#pending >= maxConnections || this.#pending >= room) return BUSY;
    if (this.#rate?.tryTake(performance.now()) === false) return TOO_FAST;
    this.#pending++;
    if (address !== undefined) this.#byAddress.set(address, (this.#byAddress.get(address) ?? 0) + 1);
    return this.#permit(address);
  }

  #permit(address: string | undefined): Permit {
    let isPending = true;
    const end = (): boolean => {
      if (!isPending) return false;
      isPending = false;
      this.#pending--;
      return true;
    };
    return {
      clientKey: address,
      commit: () => void end(),
      release: () => {
        if (end() && address !== undefined) this.clientLeft(address);
      },
    };
  }

  /** Counts one connection more of a client: it has come from another process. */
  clientArrived(address: string): void {
    this.#byAddress.set(address, (this.#byAddress.get(address) ?? 0) + 1);
  }

  /** Counts one connection less of a client, when a shard reports that it closed. */
  clientLeft(address: string): void {
    const count = this.#byAddress.get(address) ?? 0;
    if (count > 1) this.#byAddress.set(address, count - 1);
    else this.#byAddress.delete(address);
  }
}
