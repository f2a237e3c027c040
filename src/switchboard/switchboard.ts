import { once } from "node:events";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { EventEmitter } from "eventemitter3";
import { type Address, checkAddress, shardOf } from "../actor/address.ts";
import type { PublishResult } from "../actor/flow.ts";
import type { AskOptions, TellResult } from "../actor/mail.ts";
import { Bus } from "../bus/bus.ts";
import { SwitchboardError } from "../errors.ts";
import { pathMatcher } from "../handshake/path.ts";
import { CloseCode } from "../protocol/close-code.ts";
import { type Sendable, toFrame } from "../protocol/message.ts";
import { Acceptor, type AcceptorOwner } from "../shard/acceptor.ts";
import type { ShardCounts } from "../shard/counters.ts";
import { DeadLetters } from "../shard/dead-letters.ts";
import type { DrainCounts } from "../shard/drain.ts";
import { createHandshakeServer } from "../shard/handshake-server.ts";
import { type LostMail, MailRouter } from "../shard/mail-router.ts";
import type { ListenerSettings } from "../shard/messages.ts";
import type { TlsOptions } from "../shard/tls-settings.ts";
import { sumUpgrades, type UpgradeCounts } from "../shard/upgrade-counters.ts";
import { canMoveSockets } from "../transport/handoff.ts";
import { refuseUpgrade } from "../upgrade/response.ts";
import { checkClose } from "../websocket/check-close.ts";
import { AdmissionControl } from "./admission-control.ts";
import {
  type CloseOnSignalsOptions,
  type CloseOptions,
  type CloseSettings,
  checkCloseOnSignalsOptions,
  checkCloseOptions,
} from "./close-options.ts";
import { afterItsRead, Http2Opening } from "./http2-opening.ts";
import { type AnyHttp2Server, addHttp2Route, type Http2Route, isHttp2Server, removeHttp2Route } from "./http2-route.ts";
import { type ConnectionsOptions, type ConnectionsPage, listPage } from "./listing.ts";
import { checkNode, warnOfRelay } from "./node-version.ts";
import {
  type AttachOptions,
  checkAttachOptions,
  checkConnectionsOptions,
  checkListenOptions,
  checkStartOptions,
  type ListenOptions,
  type ListenSettings,
  type RouteSettings,
  type Settings,
  type StartOptions,
} from "./options.ts";
import { placesByRequest } from "./placement.ts";
import { addRoute, type Route, removeRoute } from "./route.ts";
import type { AbnormalClosure, ActorFailure, SlowConsumer } from "./shard-handle.ts";
import { ShardListener } from "./shard-listener.ts";
import type { ShardLoss } from "./shard-loss.ts";
import { ShardPool, type ShardState } from "./shard-pool.ts";
import { SharedPort } from "./shared-port.ts";
import { handleSignals } from "./signals.ts";
import { checkTlsOptions } from "./tls-options.ts";

/** What happens rarely and somebody should know. Without a listener for a failure, the first of its kind becomes a process warning. */
export interface SwitchboardEvents {
  /** A handler of an actor threw or rejected; its connection was closed with 1011, unless the outcome is another. */
  actorFailed: [ActorFailure];
  /** A shard's thread ended, and its connections with it. It will be replaced, unless `shardFailed` follows. */
  shardLost: [ShardLoss];
  /** A shard died five times within a minute, this time last: it isn't started again. */
  shardFailed: [ShardLoss];
  /** An upgrade failed for a reason that is not its peer's: `authorize` threw, a shard ended before it took the socket over. */
  handshakeFailed: [Error];
  /**
   * As much waits for a connection's peer as may (`maxBufferedBytes`), and its policy applies. Once until nothing waits any more; at most 100 in a
   * second from each shard, the rest is only counted.
   */
  slowConsumer: [SlowConsumer];
  /** A peer was gone without a close handshake (1006). At most 100 in a second from each shard, the rest is only counted. */
  abnormalClosure: [AbnormalClosure];
  /** Mail wasn't handled. All of it is counted (`deadLetters`), and at most 100 per second and thread are told. */
  deadLetter: [DeadLetter];
  /** A new thread takes connections in place of a lost one. */
  shardReplaced: [{ readonly shard: number }];
  /** The board begins to close: `ready` is false from now on. */
  draining: [];
  /** The board is closed. */
  closed: [DrainCounts];
}

/** Mail that nobody handled. */
export interface DeadLetter extends LostMail {
  /** Where it was found out; undefined: in the main thread, for mail that the board itself sent. */
  readonly shard: number | undefined;
}

export interface ShardStats extends ShardCounts {
  readonly shard: number;
  readonly state: ShardState;
  /** Whether it takes connections. */
  readonly ready: boolean;
  /** Whether it died so often that it isn't started again. */
  readonly failed: boolean;
}

export interface Stats {
  /** Open now, on all shards. */
  readonly connections: number;
  readonly upgrades: Readonly<UpgradeCounts>;
  /** Publishes by `board.publish` lost on the way to a shard that was too far behind. */
  readonly publishesDropped: number;
  /** Mail of `board.tell` and `board.ask` that found nobody there. */
  readonly deadLetters: number;
  readonly shards: readonly ShardStats[];
}

/** Upgrades taken under the same options. */
interface Entrance {
  readonly settings: RouteSettings;
  readonly matches: ReturnType<typeof pathMatcher>;
}

const NO_OPTIONS: AttachOptions = {};

/**
 * One WebSocket server on every core: takes upgrades in the main thread, moves or relays their sockets to shards, and publishes to all of
 * them.
 */
export class Switchboard extends EventEmitter<SwitchboardEvents> {
  readonly #bus: Bus;
  readonly #mail: MailRouter;
  /** Whether sockets are moved to the shards, where they can be. */
  readonly #moves: boolean;
  readonly #acceptor: Acceptor;
  /** Where there are limits. */
  readonly #admission: AdmissionControl | undefined;
  readonly #settings: Settings;
  readonly #routes: { readonly server: Server | AnyHttp2Server; readonly route: Route & Http2Route }[] = [];
  /** For `handleUpgrade`, by its options. */
  readonly #entrances = new WeakMap<AttachOptions, Entrance>();
  readonly #ownServers: Server[] = [];
  readonly #shardListeners: (ShardListener | SharedPort)[] = [];
  readonly #warned = new Set<keyof SwitchboardEvents>();
  #pool!: ShardPool; // set by `start`, the only way to get a board
  #publishesDropped = 0;
  #deadLetters = 0;
  #closed: Promise<DrainCounts> | undefined;

  /**
   * Starts the shards. Resolves when all take connections.
   *
   * Rejects with the actor module's own error when that can't be loaded, and with a `SwitchboardError` for options of a wrong type or
   * range (`ERR_OPTION`) and on a Node older than 22.18 (`ERR_NODE_VERSION`).
   */
  static async start(options: StartOptions): Promise<Switchboard> {
    checkNode(process.versions.node);
    const settings = checkStartOptions(options);
    const canMove = canMoveSockets(process.versions.node);
    if (settings.sockets === "auto" && !canMove) warnOfRelay(process.versions.node);
    const board = new Switchboard(settings, canMove);
    await board.#start(settings);
    return board;
  }

  private constructor(settings: Settings, canMove: boolean) {
    super();
    const { connection, sockets, limits } = settings;
    this.#settings = settings;
    this.#moves = sockets === "auto" && canMove;
    this.#bus = new Bus({ publishDropped: () => this.#publishesDropped++ });
    const pool = (): ShardPool => this.#pool;
    const admission = AdmissionControl.isNeeded(limits) ? new AdmissionControl(limits, pool) : undefined;
    this.#admission = admission;
    const deadLetters = new DeadLetters(
      () => this.#deadLetters++,
      (lost) => this.emit("deadLetter", { shard: undefined, ...lost }),
    );
    this.#mail = new MailRouter({
      shard: undefined,
      mailCame: () => "gone",
      mailDied: (lost) => deadLetters.add(lost),
    });
    const owner: AcceptorOwner = {
      isRemote: true,
      admit: admission && ((request) => admission.admit(request)),
      place: (request, params) => this.#pool.place({ request, params }),
      handshakeFailed: (error) => this.#tell("handshakeFailed", error),
    };
    this.#acceptor = new Acceptor(owner, { compression: connection.compression });
  }

  async #start(settings: Settings): Promise<void> {
    this.#pool = await ShardPool.start(
      settings,
      { bus: this.#bus, mail: this.#mail },
      {
        actorFailed: (failure) => this.#tell("actorFailed", failure),
        handshakeFailed: (error) => this.#tell("handshakeFailed", error),
        addressLeft: (address) => this.#admission?.addressLeft(address),
        mailDied: (shard, lost) => this.emit("deadLetter", { shard, ...lost }),
        slowConsumer: (slow) => this.emit("slowConsumer", slow),
        abnormalClosure: (closure) => this.emit("abnormalClosure", closure),
        shardLost: (loss) => this.#tell("shardLost", loss),
        shardFailed: (loss) => this.#tell("shardFailed", loss),
        shardReplaced: (shard) => this.#shardReplaced(shard),
      },
    );
  }

  /**
   * Takes the upgrades on a path of any `node:http` or `node:https` server, on a port or a Unix socket. Its requests, its other upgrade
   * listeners and its timeouts stay its own; an upgrade that nobody takes gets 404. On a `node:http2` server it takes WebSockets over HTTP/2 (RFC 8441), which sessions that begin
   * after this call are told of, and with `allowHTTP1` upgrades, too.
   */
  attach<Session>(server: Server | AnyHttp2Server, options: AttachOptions<Session> = {}): this {
    this.#addRoute(server, checkAttachOptions(options));
    return this;
  }

  /**
   * Takes one upgrade, from the arguments of a server's `upgrade` event: for those who route requests themselves. A TCP socket is moved to
   * its shard; the bytes of any other stream are relayed. With a `path` that doesn't match, the answer is 404.
   *
   * @param options the same object each time: it is checked once
   */
  handleUpgrade<Session>(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    options: AttachOptions<Session> = NO_OPTIONS as AttachOptions<Session>,
  ): void {
    let entrance = this.#entrances.get(options);
    if (entrance === undefined) {
      const settings = checkAttachOptions(options, "handleUpgrade");
      this.#checkAuthorize(settings);
      entrance = { settings, matches: pathMatcher(settings.path) };
      this.#entrances.set(options, entrance);
    }
    const params = entrance.matches(request);
    if (params === undefined) refuseUpgrade(socket, { status: 404 });
    else this.#acceptor.accept(request, socket, head, params, entrance.settings);
  }

  /**
   * Takes upgrades on a port of its own. Resolves with the address; rejects as `net.Server` does (`EADDRINUSE`). A request that isn't an
   * upgrade gets 426 on the path and 404 elsewhere. With `tls` or `handshake: "shard"` the shards do the handshakes, and ask the actor
   * module's export `authorize`.
   */
  async listen<Session>(options: ListenOptions<Session>): Promise<AddressInfo> {
    const settings = checkListenOptions(options);
    return settings.shard === undefined ? this.#listen(settings) : this.#listenInShards(settings, settings.shard);
  }

  async #listen({ port, host, route }: ListenSettings): Promise<AddressInfo> {
    const server = createHandshakeServer(route);
    server.on("clientError", (error, socket) => this.#acceptor.refuseUnparsed(socket, error));
    this.#addRoute(server, route);
    this.#ownServers.push(server);
    server.listen(port, host);
    await once(server, "listening");
    return server.address() as AddressInfo;
  }

  async #listenInShards({ port, host, accept }: ListenSettings, settings: ListenerSettings): Promise<AddressInfo> {
    this.#checkOpen();
    if (!this.#moves) {
      const message =
        'handshakes in the shards need sockets that move (Node 24.20, 26.6 or newer, and not sockets: "relay"): attach an http or https server instead';
      throw new SwitchboardError("configuration", "ERR_SOCKETS_STAY", message);
    }
    this.#checkNeedsNoRequest();
    if (accept === "shard") this.#checkChoosesNothing();
    const listener = this.#createShardListener(accept, settings);
    this.#shardListeners.push(listener);
    this.#pool.configure({ listener: listener.listener, settings });
    return listener.listen(port, host);
  }

  #createShardListener(accept: "main" | "shard", settings: ListenerSettings): ShardListener | SharedPort {
    const id = this.#shardListeners.length;
    if (accept === "shard") return new SharedPort(id, settings, this.#pool);
    const admission = this.#admission;
    return new ShardListener(id, settings, {
      counters: this.#acceptor.counters,
      admit: admission && ((socket) => admission.admitUnread(socket)),
      handOffUnread: (socket, id, address) => this.#pool.placeUnread()?.handOffUnread(socket, id, address),
      handshakeFailed: (error) => this.#tell("handshakeFailed", error),
    });
  }

  /**
   * Replaces the certificates and all other TLS options of a port that `listen` opened with `tls`: new connections get the new ones, those
   * that are open keep theirs. Throws, and changes nothing, for options that `listen` wouldn't take (`ERR_OPTION`, `ERR_TLS`) and for a port
   * without TLS (`ERR_NO_TLS_PORT`).
   */
  updateTls(port: number, tls: TlsOptions): void {
    const listeners = this.#shardListeners.filter((one) => one.port === port && one.settings.tls !== undefined);
    if (listeners.length === 0) {
      const message = `this board doesn't listen with tls on port ${port}`;
      throw new SwitchboardError("misuse", "ERR_NO_TLS_PORT", message);
    }
    const checked = checkTlsOptions("updateTls", tls);
    for (const listener of listeners) {
      listener.settings = { ...listener.settings, tls: checked };
      this.#pool.configure({ listener: listener.listener, settings: listener.settings });
    }
  }

  /**
   * Sends one message to every subscriber of the topic on every shard: a string as text, bytes as binary. Says how many shards with subscribers it
   * was passed on to, and how many don't get it, because they are too far behind.
   */
  publish(topic: string, data: Sendable): PublishResult {
    return this.#bus.publish(topic, toFrame(data));
  }

  /** Whether upgrades are taken: a shard takes connections, and the board isn't closing. */
  get ready(): boolean {
    return this.#closed === undefined && this.#pool.isReady;
  }

  /**
   * Puts mail into the mailbox of an actor, whose `mailed` gets it with `from` undefined. In order, at most once, as a copy. Throws
   * `ERR_ADDRESS` for what is no address, and `ERR_MAIL_NOT_CLONEABLE`.
   */
  tell<Mail>(to: Address, mail: Mail): Promise<TellResult<Mail>> {
    checkAddress(to);
    return this.#mail.tell(undefined, to, mail);
  }

  /**
   * Sends mail to an actor and waits for what its `mailed` returns. Rejects with `ERR_ASK_TIMEOUT`, `ERR_ASK_FULL`, `ERR_ASK_GONE` (also
   * when the connection or its shard ends before the answer), or `ERR_ASK_FAILED` (it threw: see `cause`). Throws as `tell` does.
   */
  ask(to: Address, mail: unknown, options?: AskOptions): Promise<unknown> {
    checkAddress(to);
    return this.#mail.ask(undefined, to, mail, options);
  }

  /**
   * One page of the connections, each as it is when its shard is asked: by shard, the oldest first. Who stays open meanwhile is in exactly one
   * page. A page costs its shard the same however many connections it has. Rejects with `ERR_OPTION`.
   */
  async connections(options: ConnectionsOptions = {}): Promise<ConnectionsPage> {
    checkConnectionsOptions(options);
    return listPage(this.#pool.shards, options, (shard, after, limit) =>
      this.#pool.query(shard, { kind: "list", after, limit }),
    );
  }

  /**
   * Closes one connection. Resolves with whether it was open when its shard was asked. Rejects with `ERR_ADDRESS`, and `ERR_CLOSE_CODE` or
   * `ERR_CLOSE_REASON` for what `close` of an actor wouldn't take.
   */
  async disconnect(address: Address, code: number = CloseCode.normal, reason = ""): Promise<boolean> {
    checkAddress(address);
    checkClose(code, reason);
    return (await this.#pool.query(shardOf(address), { kind: "disconnect", address, code, reason })) ?? false;
  }

  /** Counters since the start, read from memory that the shards share: cheap, and never waits for them. */
  stats(): Stats {
    const counters = this.#pool.counters();
    const shards = this.#pool.states().map((state, shard) => {
      const health = { state, ready: state === "ready", failed: state === "failed" };
      return { shard, ...health, ...(counters[shard] as ShardCounts) };
    });
    return {
      connections: shards.reduce((sum, { connections }) => sum + connections, 0),
      upgrades: sumUpgrades([this.#acceptor.counters.snapshot(), ...this.#pool.upgrades()]),
      publishesDropped: this.#publishesDropped,
      deadLetters: this.#deadLetters,
      shards,
    };
  }

  /**
   * Closes down. `ready` is false at once, and a `draining` event comes; after `readinessDelayMs` upgrades get 503 with Retry-After, and ports
   * that `listen` opened are closed. Then every actor's `draining` is called, and connections are closed in batches with `code` and `reason`;
   * what is left after `drain` ms is dropped. Resolves when the shards have ended, with what became of the connections, of which a `closed`
   * event tells, too. A second call waits for the first.
   */
  async close(options: CloseOptions = {}): Promise<DrainCounts> {
    const settings = checkCloseOptions(options);
    this.#closed ??= Promise.resolve().then(() => this.#close(settings));
    return this.#closed;
  }

  /**
   * Closes the board with these options when the process gets one of the signals. It then ends by itself if nothing else runs in it: close
   * attached servers at the board's `closed` event. A second signal ends the process at once, with code 128 + the signal's number.
   *
   * @returns what takes that back, and makes the signals what they were
   */
  closeOnSignals(options: CloseOnSignalsOptions = {}): () => void {
    const { signals, close } = checkCloseOnSignalsOptions(options);
    return handleSignals(signals, () => void this.close(close));
  }

  async #close({ readinessDelayMs, ...settings }: CloseSettings): Promise<DrainCounts> {
    // What a listener throws is its own: the board closes all the same.
    queueMicrotask(() => this.emit("draining"));
    if (readinessDelayMs > 0) await delay(readinessDelayMs);
    for (const listener of this.#shardListeners) listener.close();
    for (const server of this.#ownServers) server.close();
    // Sockets on their way are let arrive, unless their shard doesn't take them.
    await Promise.race([this.#acceptor.close(), delay(Math.min(settings.timeoutMs, 1_000), undefined, { ref: false })]);
    const counts = await this.#pool.close(settings);
    this.#bus.close();
    for (const { server, route } of this.#routes) {
      removeRoute(server, route);
      if (isHttp2Server(server)) removeHttp2Route(server, route);
    }
    for (const server of this.#ownServers) server.closeAllConnections();
    queueMicrotask(() => this.emit("closed", counts));
    return counts;
  }

  #shardReplaced(shard: number): void {
    const reopened = this.#shardListeners.map((listener) => listener.reopen(shard));
    Promise.all(reopened).then(
      () => this.emit("shardReplaced", { shard }),
      (error: Error) => this.#tell("handshakeFailed", error),
    );
  }

  /** Whoever wrote an `authorize` means it: an actor module with one isn't served without any by mistake. */
  #checkAuthorize({ authorize }: RouteSettings): void {
    if (authorize !== undefined || !this.#pool.authorizes) return;
    const message =
      "the actor module's export authorize is asked only for handshakes in the shards; here, give authorize as an option (to let everybody in: () => ({ session: undefined }))";
    throw new SwitchboardError("configuration", "ERR_AUTHORIZE_IGNORED", message);
  }

  /** Where the shards accept, nobody is asked who gets in and where. */
  #checkChoosesNothing(): void {
    const { placement } = this.#settings;
    const wants =
      this.#admission !== undefined
        ? "a limit of connections or upgrades"
        : placement !== "leastConnections"
          ? "a placement"
          : undefined;
    if (wants === undefined) return;
    const message = `${wants} needs the main thread to accept: listen without accept: "shard"`;
    throw new SwitchboardError("configuration", "ERR_ACCEPT_IN_SHARDS", message);
  }

  /** A socket goes to its shard before its request is read. */
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
    throw new SwitchboardError("configuration", "ERR_NEEDS_REQUEST", message);
  }

  #addRoute(server: Server | AnyHttp2Server, settings: RouteSettings): void {
    this.#checkOpen();
    this.#checkAuthorize(settings);
    const matches = pathMatcher(settings.path);
    const route: Route & Http2Route = {
      match: (request: IncomingMessage) => matches(request),
      accept: (request, socket, head, params) => this.#acceptor.accept(request, socket, head, params, settings),
      acceptStream: (request, stream, params) =>
        afterItsRead(stream, () => this.#acceptor.open(new Http2Opening(request, stream), params, settings)),
    };
    addRoute(server, route);
    if (isHttp2Server(server)) addHttp2Route(server, route);
    this.#routes.push({ server, route });
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw new SwitchboardError("closed", "ERR_CLOSED", "this board is closed");
  }

  /** Emits a failure; when nobody listens, warns of the first of its kind, so that it isn't lost silently. */
  #tell<Event extends "actorFailed" | "shardLost" | "shardFailed" | "handshakeFailed">(
    event: Event,
    detail: SwitchboardEvents[Event][0],
  ): void {
    const emit = this.emit as (event: Event, detail: SwitchboardEvents[Event][0]) => boolean;
    if (emit.call(this, event, detail) || this.#warned.has(event)) return;
    this.#warned.add(event);
    const error = detail instanceof Error ? detail : detail.error;
    process.emitWarning(`${error.stack ?? error.message}`, {
      type: "SwitchboardWarning",
      code: event,
      detail: `Listen to the board's "${event}" event to see all of them.`,
    });
  }
}
