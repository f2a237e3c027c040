/** The public class `Switchboard`: the object in the main thread that puts all parts together. */

import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo, Server as NetServer } from "node:net";
import type { Duplex } from "node:stream";
import { EventEmitter } from "eventemitter3";
import { type Address, checkAddress } from "../../runtime/actor/address.ts";
import type { PublishOptions } from "../../runtime/actor/context/actor-context.ts";
import type { PublishResult } from "../../runtime/actor/context/publish-result.ts";
import { type AskOptions, cloneMail, type TellResult } from "../../runtime/actor/mail.ts";
import { sumUpgrades } from "../../runtime/stats/upgrade-counters.ts";
import type { PresenceStats } from "../../runtime/streams/engine.ts";
import type { HistoryPage, PresenceMember, ReadHistoryOptions } from "../../runtime/streams/topic-memory.ts";
import { checkClose } from "../../wire/protocol/check-close.ts";
import { CloseCode } from "../../wire/protocol/close-code.ts";
import { type Sendable, toFrame } from "../../wire/protocol/message.ts";
import { isServer } from "../../wire/transport/raw-socket-server.ts";
import { argumentError, checkServer } from "../../wire/upgrade/arguments.ts";
import type { AnyHttp2Server } from "../accept/routes/http2-route.ts";
import type { TlsOptions } from "../accept/tls-settings.ts";
import type { ShutdownCounts } from "../shard/shutdown.ts";
import { BoardHub } from "./board-hub.ts";
import { BoardLife } from "./board-life.ts";
import { closeParts } from "./closing.ts";
import type { NodeStatus } from "./cluster/node-list.ts";
import { EventAnnouncer } from "./event-announcer.ts";
import type { SwitchboardEvents } from "./events.ts";
import { UpgradeIntake } from "./listen/upgrade-intake.ts";
import { type ConnectionsPage, checkConnectionsOptions, type ListConnectionsOptions } from "./listing.ts";
import { BoardMoves, type BoardMovesOwner } from "./moving/board-moves.ts";
import type { EvacuationResult, MoveResult } from "./moving/moving.ts";
import type { RebalanceResult } from "./moving/rebalance.ts";
import type { RenewalResult } from "./moving/renewals.ts";
import { checkNode } from "./node-version.ts";
import {
  type CloseOnSignalsOptions,
  type CloseOptions,
  type CloseSettings,
  checkCloseOnSignalsOptions,
  checkCloseOptions,
} from "./options/close-options.ts";
import type { AttachOptions, ListenOptions, ServerListenOptions } from "./options/listen-options.ts";
import { withoutUndefined } from "./options/option-validation.ts";
import type { RecycleOptions } from "./options/recycle-options.ts";
import type { ReloadOptions } from "./options/reload-options.ts";
import { checkStartOptions, type Settings, type StartOptions } from "./options/start-options.ts";
import type { TakeoverSettings } from "./options/takeover-options.ts";
import { ShardPool } from "./pool/shard-pool.ts";
import { handleSignals } from "./signals.ts";
import { chooseSockets, type SocketsChoice } from "./sockets-choice.ts";
import { type Health, type Stats, statsOf } from "./stats.ts";
import { checkSurveyOptions, type SurveyAnswer, type SurveyOptions } from "./survey.ts";
import { BoardTakeover, checkTakeover } from "./takeover/board-takeover.ts";

const NO_OPTIONS: AttachOptions = {};

/**
 * One WebSocket server on every core: it takes upgrades in the main thread, moves or relays their sockets to shards,
 * and publishes to all of them.
 */
export class Switchboard extends EventEmitter<SwitchboardEvents> {
  readonly #hub: BoardHub;
  readonly #sockets: SocketsChoice;
  readonly #intake: UpgradeIntake;
  readonly #events = new EventAnnouncer(this);
  /** Names of the actor modules besides the default one. */
  readonly #actors: readonly string[];
  #pool!: ShardPool; // set by `start`, the only way to get a board
  readonly #life = new BoardLife();
  #moves!: BoardMoves; // set by `start`, too
  /** Set with the option `takeover`. */
  #takeover: BoardTakeover | undefined;

  /**
   * Starts the shards. Resolves when all of them take connections.
   *
   * Rejects with an actor module's own error if the module can't be loaded, and with a `SwitchboardError`:
   * `ERR_OPTION`, `ERR_NODE_VERSION` on a Node older than 22.18, `ERR_NO_URING` if `sockets: "uring"` can't work here,
   * `ERR_START_TIMEOUT` after `startTimeoutMs`, `ERR_ABORTED` if `signal` is aborted. After a rejection nothing is left
   * running.
   */
  static async start(options: StartOptions): Promise<Switchboard> {
    checkNode(process.versions.node);
    const settings = checkStartOptions(options);
    const sockets = chooseSockets(settings.sockets);
    if (settings.takeover !== undefined) checkTakeover(settings.takeover.path);
    const board = new Switchboard(settings, sockets);
    await board.#start(settings);
    return board;
  }

  private constructor(settings: Settings, sockets: SocketsChoice) {
    super();
    // JavaScript lets anybody call this.
    if ((sockets as unknown) === undefined)
      throw argumentError("a board starts with `await Switchboard.start(…)`, without `new`");
    this.#sockets = sockets;
    this.#actors = [...settings.actors.keys()].filter((name) => name !== undefined);
    const { handshakeFailed, acceptFailed } = this.#events;
    const pool = (): ShardPool => this.#pool;
    this.#hub = new BoardHub(settings, pool, this.#events);
    this.#intake = new UpgradeIntake(settings, this.#actors, {
      moves: sockets.kind !== "relay",
      life: this.#life,
      pool,
      addressPrefix: () => this.#hub.topics.addressPrefix,
      hasHandedOver: () => this.#takeover?.hasHandedOver === true,
      passOn: (late) => this.#takeover?.passOn(late),
      handshakeFailed,
      acceptFailed,
    });
  }

  async #start(settings: Settings): Promise<void> {
    this.#pool = await ShardPool.start(settings, this.#sockets.kind, this.#hub, {
      event: (shard, event) => this.#events.shardEvent(shard, event),
      reported: (shard, reports) => this.#events.reported(shard, reports),
      clientLeft: (clientKey) => this.#intake.clientLeft(clientKey),
      shardLost: (loss) => this.#events.announce("shardLost", loss),
      shardFailed: (loss) => {
        this.#intake.shardFailed(loss.shard);
        this.#events.announce("shardFailed", loss);
      },
      moved: (address, shard) => this.emit("moved", { address, shard }),
      published: (publish) => this.#takeover?.published(publish),
      lateUpgrade: (report, estate) => this.#intake.lateUpgrade(report, estate),
      shardReplaced: (shard) => this.#shardReplaced(shard),
      engineLost: (error) => this.#events.announce("engineLost", error),
      engineFailed: (error) => this.#events.announce("engineFailed", error),
    });
    const moves: BoardMovesOwner = {
      life: this.#life,
      pool: this.#pool,
      isElsewhere: (address) => this.#hub.mail.nodes.isElsewhere(address),
      recycled: (result) => this.emit("shardRecycled", result),
      recycleFailed: (failure) => this.#events.announce("recycleFailed", failure),
    };
    this.#moves = new BoardMoves(moves, settings);
    this.#hub.cluster.start();
    this.#intake.start();
    if (settings.takeover !== undefined) await this.#takeOver(settings.takeover);
  }

  /** Takes over from another process, or waits for one. */
  async #takeOver(settings: TakeoverSettings): Promise<void> {
    this.#takeover = new BoardTakeover(settings, {
      pool: this.#pool,
      intake: this.#intake,
      hub: this.#hub,
      events: this.#events,
      handingOver: () => this.emit("handingOver"),
      end: (options) => void this.close(options),
    });
    try {
      await this.#takeover.begin();
    } catch (error) {
      await this.close({ timeoutMs: 0 });
      throw error;
    }
  }

  /**
   * Takes the upgrades on a path of a `node:http` or `node:https` server, on a port or a Unix socket. The server keeps
   * its requests, its other upgrade listeners and its timeouts. An upgrade that nothing takes gets 404, after
   * `handshakeTimeoutMs` if there are other listeners.
   *
   * On a `node:http2` server the board takes WebSockets over HTTP/2 (RFC 8441) in sessions that begin after this call,
   * and with `allowHTTP1` also upgrades.
   *
   * Throws `ERR_ARGUMENT` for anything but such a server, and `ERR_OPTION`.
   */
  attach<Session>(server: Server | AnyHttp2Server, options: AttachOptions<Session> = {}): this {
    checkServer("attach", server);
    this.#intake.attach(server, options);
    return this;
  }

  /**
   * Takes one upgrade, with the arguments of a server's `upgrade` event: for servers that route requests themselves. A
   * TCP socket is moved to its shard; the bytes of any other stream are relayed. A `path` that doesn't match gets 404.
   *
   * Throws `ERR_ARGUMENT` for other arguments.
   *
   * @param options the same object each time: it is checked once
   */
  handleUpgrade<Session>(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    options: AttachOptions<Session> = NO_OPTIONS as AttachOptions<Session>,
  ): void {
    this.#intake.handleUpgrade(request, socket, head, options);
  }

  /**
   * Takes upgrades on a port of its own. Resolves with the address. A request that isn't an upgrade gets 426 on the
   * path and 404 elsewhere. Where nothing needs the main thread, the shards do the handshakes and call the actor
   * module's export `authorize`: see `handshake`.
   *
   * Rejects as `net.Server` does (`EADDRINUSE`), with `ERR_CLOSED` if the board is closed or closes meanwhile, and with
   * `ERR_ABORTED` if `signal` is aborted. After a rejection the port isn't bound.
   */
  listen<Session>(options: ListenOptions<Session>): Promise<AddressInfo>;
  /**
   * Lets a `node:http` server of the program listen, or any other `net.Server`, so that another process can take its
   * socket over: see the option `takeover`. Resolves with the address, for a Unix socket with its path. `attach` takes
   * the server's upgrades. Rejects as above, and with `ERR_ARGUMENT`.
   */
  listen(server: NetServer, options: ServerListenOptions): Promise<AddressInfo | string>;
  async listen(first: NetServer | ListenOptions, options?: ServerListenOptions): Promise<AddressInfo | string> {
    if (!isServer(first)) {
      if (options !== undefined) checkServer("listen", first);
      return this.#intake.listen(first);
    }
    return this.#intake.listenWith(first, options ?? {});
  }

  /**
   * Replaces the TLS options of a port that `listen` opened with `tls`. New connections get the new ones; open
   * connections keep theirs. Throws, and changes nothing: `ERR_OPTION` and `ERR_TLS` for wrong options,
   * `ERR_NO_TLS_PORT` for a port without TLS, `ERR_CLOSED` while the board is closing.
   */
  updateTls(port: number, tls: TlsOptions): void {
    this.#intake.updateTls(port, tls);
  }

  /**
   * Publishes a string as text, or bytes as binary, to every subscriber of the topic on every shard. Returns the number
   * of shards with subscribers to which the publish was passed on, and of those that are too far behind. On a topic
   * with history, `stored` gives the position. Throws `ERR_TOPIC`, and `ERR_NO_HISTORY` and `ERR_ARGUMENT` for options.
   * After `close` the publish reaches nobody, and `stored` rejects with `ERR_CLOSED`.
   */
  publish(topic: string, data: Sendable, options?: Omit<PublishOptions, "self">): PublishResult {
    return this.#hub.topics.topics.publish(topic, toFrame(data), options);
  }

  /**
   * Reads one page of a stream. Rejects with `ERR_NO_HISTORY`, `ERR_POSITION`, `ERR_STREAM_EPOCH` (the position is of
   * another life of the stream) and `ERR_ENGINE_UNAVAILABLE`.
   */
  history(topic: string, options?: ReadHistoryOptions): Promise<HistoryPage> {
    return this.#hub.topics.topics.history(topic, options);
  }

  /** Removes the publications of a stream. Its epoch and offsets go on. Rejects as `history` does. */
  removeHistory(topic: string): Promise<void> {
    return this.#hub.topics.topics.removeHistory(topic);
  }

  /**
   * Resolves with the connections that are subscribed to a topic with presence, on every shard and node; at most
   * 10,000. Rejects with `ERR_NO_PRESENCE` and `ERR_ENGINE_UNAVAILABLE`.
   */
  presence(topic: string): Promise<readonly PresenceMember[]> {
    return this.#hub.topics.topics.presence(topic);
  }

  /** Resolves with the numbers of connections and of distinct users. Rejects as `presence` does. */
  presenceStats(topic: string): Promise<PresenceStats> {
    return this.#hub.topics.topics.presenceStats(topic);
  }

  /** Returns whether everything works: a shard takes connections, and the engine, if there is one, is up. */
  health(): Health {
    const { engine } = this.#hub.topics;
    return { ok: this.ready && (engine === undefined || engine.status === "up"), ready: this.ready, engine };
  }

  /** True while a shard takes connections and the board isn't closing. */
  get ready(): boolean {
    return this.#life.isOpen && this.#pool.isReady;
  }

  /**
   * Puts mail into the mailbox of an actor, whose `mailed` gets it with `from` undefined. Mail arrives in order, at
   * most once, and as a copy. Throws `ERR_ADDRESS`, `ERR_MAIL_NOT_CLONEABLE`, and `ERR_MAIL_TOO_LARGE` for more than 1
   * MiB to another node. After `close` every actor is gone.
   */
  tell<Mail>(to: Address, mail: Mail): Promise<TellResult<Mail>> {
    checkAddress(to);
    return this.#hub.mail.tell(undefined, to, mail);
  }

  /**
   * Sends mail to an actor and resolves with the result of its `mailed`. Rejects with `ERR_ASK_TIMEOUT`,
   * `ERR_ASK_FULL`, `ERR_ASK_GONE` (also if the connection or its shard ends before the answer), or `ERR_ASK_FAILED`
   * (`mailed` threw: see `cause`). Throws as `tell` does.
   */
  ask(to: Address, mail: unknown, options?: AskOptions): Promise<unknown> {
    checkAddress(to);
    return this.#hub.mail.ask(undefined, to, mail, options);
  }

  /**
   * Resolves with one page of the connections of all nodes, or of one `node`: by node, then by shard, the oldest first.
   * A connection that stays open meanwhile is in exactly one page. A page costs its shard the same however many
   * connections it has. Rejects with `ERR_OPTION`, with `ERR_SHARD_UNRESPONSIVE` or `ERR_NODE_UNRESPONSIVE` if a shard
   * or a node doesn't answer within 5 s, with `ERR_NODE_GONE` if there is no such node, and with
   * `ERR_ENGINE_UNAVAILABLE`, and with `ERR_CLOSED` after `close`.
   */
  async connections(options: ListConnectionsOptions = {}): Promise<ConnectionsPage> {
    checkConnectionsOptions(options);
    this.#life.checkNotEnded();
    return this.#hub.cluster.connections(withoutUndefined(options));
  }

  /**
   * Closes one connection, on any node. Resolves with true if it was open. Rejects with `ERR_ADDRESS`, `ERR_CLOSE_CODE`
   * or `ERR_CLOSE_REASON`, with `ERR_SHARD_UNRESPONSIVE` or `ERR_NODE_UNRESPONSIVE` if its shard or its node doesn't
   * answer within 5 s, with `ERR_ENGINE_UNAVAILABLE`, and with `ERR_CLOSED` after `close`.
   */
  async disconnect(address: Address, code: number = CloseCode.normal, reason = ""): Promise<boolean> {
    checkAddress(address);
    checkClose(code, reason);
    this.#life.checkNotEnded();
    return this.#hub.cluster.disconnect(address, code, reason);
  }

  /**
   * Moves an open connection of this node to another shard, with its actor's state: its class needs `static moves`.
   * Resolves with `{ moved: true }`, also if the connection was there already, or with the reason why it stayed.
   * Rejects with `ERR_ADDRESS`, also for an address of another node, `ERR_OPTION` for a shard that doesn't exist,
   * `ERR_MOVE_FAILED` for one that takes no connections now and while another process takes over, and `ERR_CLOSED`
   * while the board closes.
   */
  async move(address: Address, shard: number): Promise<MoveResult> {
    checkAddress(address);
    return this.#moves.move(address, shard);
  }

  /**
   * Moves all connections of a shard that can move to the other shards. New connections go to the others meanwhile.
   * Resolves with the numbers when each has moved or stays. Rejects as `move` does.
   */
  evacuate(shard: number): Promise<EvacuationResult> {
    return this.#moves.evacuate(shard);
  }

  /**
   * Moves connections from the fullest to the emptiest shards, until these differ by less than a tenth, or 16. The
   * option `rebalance` does the same slowly and by itself. Resolves with the number. Rejects with `ERR_MOVE_FAILED`
   * while another process takes over, and with `ERR_CLOSED` while the board closes.
   */
  rebalance(): Promise<RebalanceResult> {
    return this.#moves.rebalance();
  }

  /**
   * Replaces the thread of one shard, with all its memory, without dropping anybody: a second thread with the same
   * actor modules starts beside it and takes all connections that can move. What can't is treated as in `reload`. The
   * option `recycle` does it by itself. Resolves with the numbers.
   *
   * Rejects with the error of a module that can't be loaded, and nothing has changed then; with `ERR_OPTION`, with
   * `ERR_RELOADING` during another recycling or a reload, with `ERR_MOVE_FAILED` while another process takes over, and
   * with `ERR_CLOSED` while the board closes.
   */
  recycle(shard: number, options: RecycleOptions = {}): Promise<RenewalResult> {
    return this.#moves.recycle(shard, options);
  }

  /**
   * Loads the actor modules anew, without dropping anybody: new threads load them, all connections that can move go on
   * there with their actors' state, the old threads end. Connections whose TLS an old thread does go on there for at
   * most `keepOldMs`; others that can't move, because their class has no `static moves`, are closed with 1012 in
   * batches. Resolves with the numbers, once only what is kept is left in the old threads.
   *
   * Rejects with a module's own error if it can't be loaded, and as `start` does; then nothing has changed. Rejects
   * with `ERR_OPTION`, with `ERR_RELOADING` during another reload or a recycling, with `ERR_MOVE_FAILED` while another
   * process takes over, and with `ERR_CLOSED` while the board closes.
   */
  reload(options: ReloadOptions = {}): Promise<RenewalResult> {
    return this.#moves.reload(options);
  }

  /**
   * Asks all shards of all nodes a question, which the function `surveyed` of their actor module answers. Resolves with
   * all answers, by node, then by shard: a shard or a node that doesn't answer within `timeoutMs` is in the list as
   * failed. Shards of other nodes have four fifths of the time. Rejects with `ERR_OPTION`, with
   * `ERR_MAIL_NOT_CLONEABLE`, with `ERR_MAIL_TOO_LARGE` for a question of more than 1 MiB to other nodes, and with
   * `ERR_CLOSED` after `close`.
   */
  async survey(question: unknown, options: SurveyOptions = {}): Promise<readonly SurveyAnswer[]> {
    const settings = checkSurveyOptions(options, this.#actors);
    this.#life.checkNotEnded();
    return this.#hub.cluster.survey({ ...settings, question: cloneMail(question) });
  }

  /**
   * Returns this node and all others that share its engine, by id, with what each of them last told: at most about 3 s
   * old. Never waits. A board without a shared engine is the only node.
   */
  nodes(): readonly NodeStatus[] {
    return this.#hub.cluster.nodes();
  }

  /** Returns the counters since the start, from memory that the shards share: cheap, and never waits for a shard. */
  stats(): Stats {
    const shards = statsOf(this.#pool);
    return {
      connections: shards.reduce((sum, { connections }) => sum + connections, 0),
      upgrades: sumUpgrades([this.#intake.upgrades(), ...this.#pool.upgrades()]),
      publishesDropped: this.#hub.topics.publishesDropped,
      publishesFailed: this.#hub.topics.publishesFailed,
      deadLetters: this.#hub.deadLetters,
      acceptsFailed: this.#events.acceptsFailed,
      sockets: this.#sockets,
      engine: this.#hub.topics.engineStats,
      cluster: this.#hub.cluster.stats(),
      shards,
    };
  }

  /**
   * Closes down. `ready` is false at once, and a `closing` event comes; after `readinessDelayMs` upgrades get 503 with
   * Retry-After, and ports that `listen` opened are closed. Then every actor's `shuttingDown` is called, connections
   * are closed in batches with `code` and `reason`, and handlers that are under way, `closed` included, are awaited.
   * Connections that are left shortly before the end of `timeoutMs` ms are dropped, and handlers that still run at its
   * end are cut. Requests under way in closed servers that `listen` was given are awaited, too: they may still publish.
   * Resolves when the shards have ended, with what became of the connections and their actors, of which a
   * `closed` event tells, too. A second call waits for the first.
   */
  async close(options: CloseOptions = {}): Promise<ShutdownCounts> {
    const settings = checkCloseOptions(options);
    return this.#life.end(() => this.#close(settings));
  }

  /**
   * Closes the board with these options when the process gets one of the signals. The process then ends by itself if
   * nothing else runs in it: close attached servers at the board's `closed` event. A second signal ends the process at
   * once, with code 128 + its number.
   *
   * @returns a function that removes the signal handlers
   */
  closeOnSignals(options: CloseOnSignalsOptions = {}): () => void {
    const { signals, close } = checkCloseOnSignalsOptions(options);
    return handleSignals(signals, () => void this.close(close));
  }

  async #close(settings: CloseSettings): Promise<ShutdownCounts> {
    // An error of a listener is its own: the board closes all the same.
    queueMicrotask(() => this.emit("closing"));
    const parts = {
      life: this.#life,
      moves: this.#moves,
      intake: this.#intake,
      pool: this.#pool,
      hub: this.#hub,
      takeover: this.#takeover,
    };
    const counts = await closeParts(parts, settings);
    queueMicrotask(() => this.emit("closed", counts));
    return counts;
  }

  #shardReplaced(shard: number): void {
    this.#intake.reopen(shard).then(
      () => this.emit("shardReplaced", { shard }),
      (error: Error) => this.#events.announce("handshakeFailed", error),
    );
  }
}
