/** All ports of a board on which the shards do the handshakes. */
import type { AddressInfo, Server, Socket } from "node:net";
import { SwitchboardError } from "../../../errors.ts";
import type { UpgradeCounters } from "../../../runtime/stats/upgrade-counters.ts";
import { holdsByNumber } from "../../../wire/passing/passed-sockets.ts";
import type { AdmissionControl } from "../../accept/admission-control.ts";
import type { ShardPortSettings } from "../../accept/shard-port.ts";
import type { TlsOptions } from "../../accept/tls-settings.ts";
import type { ListenSettings } from "../options/listen-options.ts";
import type { Settings } from "../options/start-options.ts";
import { checkTlsOptions } from "../options/tls-options.ts";
import { placesByRequest } from "../pool/placement.ts";
import type { ShardPool } from "../pool/shard-pool.ts";
import { ForwardingListener, type ForwardingListenerOwner } from "./forwarding-listener.ts";
import type { ListeningSockets } from "./listening-sockets.ts";
import { RawSocketForwarder } from "./raw-socket-forwarder.ts";
import { ReusePortListener } from "./reuse-port-listener.ts";

export interface ShardListenersOwner {
  /** True if sockets are moved to the shards. */
  readonly moves: boolean;
  /** Counters for outcomes that no shard counts. */
  readonly counters: UpgradeCounters;
  /** Set if the options have limits of admission. */
  readonly admission: AdmissionControl | undefined;
  readonly pool: () => ShardPool;
  /** Aborted when the board begins to close. */
  readonly closing: AbortSignal;
  readonly sockets: ListeningSockets;
  handshakeFailed(error: Error): void;
  acceptFailed(error: Error): void;
}

/** The ports on which the shards do the handshakes, whichever thread accepts. */
export class ShardListeners {
  readonly #settings: Settings;
  readonly #owner: ShardListenersOwner;
  readonly #listeners: (ForwardingListener | ReusePortListener)[] = [];

  constructor(settings: Settings, owner: ShardListenersOwner) {
    this.#settings = settings;
    this.#owner = owner;
  }

  /** True if the board's options allow handshakes in the shards without any loss. */
  get suitAny(): boolean {
    const { moves, admission } = this.#owner;
    return moves && admission === undefined && !placesByRequest(this.#settings.placement);
  }

  async listen(
    { port, host, accept }: ListenSettings,
    settings: ShardPortSettings,
    signal: AbortSignal,
  ): Promise<AddressInfo> {
    if (!this.#owner.moves) {
      const message =
        'handshakes in the shards need sockets that move (Node 24.20, 26.6 or newer, and not sockets: "relay"): attach an http or https server instead';
      throw new SwitchboardError("ERR_SOCKETS_STAY", message);
    }
    this.#checkNeedsNoRequest();
    if (accept === "shard") this.#checkChoosesNothing();
    const listener = this.#createListener(accept, settings);
    this.#listeners.push(listener);
    this.#owner.pool().configure({ listenerId: listener.listenerId, settings });
    return listener.listen(port, host, signal);
  }

  updateTls(port: number, tls: TlsOptions): void {
    const listeners = this.#listeners.filter((one) => one.port === port && one.settings.tls !== undefined);
    if (listeners.length === 0) {
      const message = `this board doesn't listen with tls on port ${port}`;
      throw new SwitchboardError("ERR_NO_TLS_PORT", message);
    }
    const checked = checkTlsOptions("updateTls", tls);
    for (const listener of listeners) {
      listener.settings = { ...listener.settings, tls: checked };
      this.#owner.pool().configure({ listenerId: listener.listenerId, settings: listener.settings });
    }
  }

  /** Lets a replaced shard accept on the ports of the one before. */
  reopen(shard: number): Promise<unknown> {
    return Promise.all(this.#listeners.map((listener) => listener.reopen(shard)));
  }

  /** Leaves the ports to the other shards: this one isn't started again. */
  shardFailed(shard: number): void {
    for (const listener of this.#listeners) listener.shardFailed(shard);
  }

  /** Returns the name of a port for another process; undefined if nobody can take the port over. */
  nameOf(listenerId: number): string | undefined {
    return this.#listeners[listenerId]?.name;
  }

  /** Gives a socket without an answer, which a shard has given up, to a shard again. */
  adopt(socket: Socket, listenerId: number): void {
    const listener = this.#listeners[listenerId];
    if (listener === undefined) socket.destroy();
    else listener.adopt(socket);
  }

  close(): void {
    for (const listener of this.#listeners) listener.close();
  }

  #createListener(accept: "main" | "shard", settings: ShardPortSettings): ForwardingListener | ReusePortListener {
    const listenerId = this.#listeners.length;
    const { counters, admission, pool, closing, sockets, handshakeFailed, acceptFailed } = this.#owner;
    const owner: ForwardingListenerOwner = {
      counters,
      admit: admission && ((socket) => admission.admitUnread(socket)),
      handOffRawSocket: (socket, clientKey) => pool().placeRawSocket()?.handOffRawSocket(socket, listenerId, clientKey),
      handshakeFailed,
      acceptFailed,
      sockets,
    };
    if (accept === "main") return new ForwardingListener(listenerId, settings, owner);
    const giveServer = (shard: number, server: Server): void => pool().giveServer(shard, server, listenerId);
    const forwarder = new RawSocketForwarder(owner);
    return new ReusePortListener(listenerId, settings, {
      shards: pool().shards,
      closing,
      sockets,
      giveServer,
      forward: (socket, isSecure) => void forwarder.forward(socket, isSecure),
      acceptFailed,
    });
  }

  /**
   * Throws `ERR_ACCEPT_IN_SHARDS` for limits and placements: where the shards accept, nothing decides who gets in and
   * where.
   */
  #checkChoosesNothing(): void {
    const { placement } = this.#settings;
    const { admission, sockets } = this.#owner;
    const wants =
      admission !== undefined
        ? "a limit of connections or upgrades"
        : placement !== "leastConnections"
          ? "a placement"
          : undefined;
    if (wants === undefined && sockets.isPassable && !holdsByNumber()) {
      const message =
        'accept: "shard" and takeover go together only with node:ffi (Node 26.9): listen without accept: "shard"';
      throw new SwitchboardError("ERR_NO_FFI", message);
    }
    if (wants === undefined) return;
    const message = `${wants} needs the main thread to accept: listen without accept: "shard"`;
    throw new SwitchboardError("ERR_ACCEPT_IN_SHARDS", message);
  }

  /**
   * Throws `ERR_NEEDS_REQUEST` for options that need the request: a socket goes to its shard before its request is
   * read.
   */
  #checkNeedsNoRequest(): void {
    const { placement, limits } = this.#settings;
    const { maxConnectionsPerAddress, trustedProxies = [] } = limits;
    const needs = placesByRequest(placement)
      ? "a placement by the request"
      : maxConnectionsPerAddress !== undefined && trustedProxies.length > 0
        ? "maxConnectionsPerAddress with trustedProxies"
        : undefined;
    if (needs === undefined) return;
    const message = `${needs} needs the handshake in the main thread, not in the shards: listen without tls and handshake, or attach an http or https server`;
    throw new SwitchboardError("ERR_NEEDS_REQUEST", message);
  }
}
