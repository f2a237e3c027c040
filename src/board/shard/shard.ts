import type { Duplex } from "node:stream";
import type { MessagePort } from "node:worker_threads";
import { type ErrorReport, reportError } from "../../errors.ts";
import type { ActorClass } from "../../runtime/actor/actor.ts";
import { ActorScopes } from "../../runtime/actor/actor-scopes.ts";
import type { Address } from "../../runtime/actor/address.ts";
import { requestHeadersOf } from "../../runtime/actor/connection-request.ts";
import { HandlerWatch } from "../../runtime/actor/handler-watch.ts";
import { Bus } from "../../runtime/bus/bus.ts";
import { DeadLetters } from "../../runtime/mail/dead-letters.ts";
import { MailRouter } from "../../runtime/mail/mail-router.ts";
import { TimerWheel } from "../../runtime/scheduling/timer-wheel.ts";
import { Turns } from "../../runtime/scheduling/turns.ts";
import { Counters } from "../../runtime/stats/counters.ts";
import { EventLoopMeter } from "../../runtime/stats/event-loop-meter.ts";
import { Pulse } from "../../runtime/stats/pulse.ts";
import { ReportLimit } from "../../runtime/stats/report-limit.ts";
import { Sampler } from "../../runtime/stats/sampler.ts";
import { Deflaters } from "../../wire/protocol/deflate/deflater.ts";
import { receiveHandoffs, receiveUnread } from "../../wire/transport/handoff.ts";
import type { HandoffResult } from "../../wire/transport/pending-handoffs.ts";
import { receiveRelayed } from "../../wire/transport/relay.ts";
import { takeOver } from "../../wire/transport/take-over.ts";
import type { Transport } from "../../wire/transport/transport.ts";
import { Acceptor, type Destination } from "../accept/acceptor.ts";
import { ClientAddresses } from "../accept/client-address.ts";
import { Departures } from "../accept/departures.ts";
import { SocketAcceptor } from "../accept/socket-acceptor.ts";
import { Cohort } from "../connection/cohort.ts";
import { Connection } from "../connection/connection.ts";
import type { Arrival, ConnectionHost, ConnectionOptions } from "../connection/connection-host.ts";
import { FlushQueue } from "../connection/flush-queue.ts";
import type { Outbound } from "../connection/outbound.ts";
import { loadActorModule } from "./actor-module.ts";
import { catchDetached } from "./detached-failures.ts";
import { Directory } from "./directory.ts";
import { Drain, type DrainSettings } from "./drain.ts";
import type { ListenerNotice, ShardOrder, ShardReport, ShardTask, ThreadLink, UnreadArrival } from "./messages.ts";
import { answerQuery } from "./queries.ts";

/**
 * Runs one shard in this thread until it is told to stop. Returns why it couldn't start, if it couldn't: as a report, because what is thrown
 * across threads loses its name and code.
 */
export async function runShard(task: ShardTask): Promise<ErrorReport | undefined> {
  // First of all: what the actor module does when it is loaded may already stand still.
  const pulse = task.pulse && new Pulse(task.pulse).start();
  const shard = new Shard(task);
  try {
    // A top-level await of the actor module may never end: the shard stops all the same.
    await Promise.race([shard.start(), shard.stopped]);
    await shard.stopped;
  } catch (error) {
    shard.stop();
    return reportError(error);
  } finally {
    clearInterval(pulse);
  }
  return undefined;
}

class Shard {
  readonly #task: ShardTask;
  readonly #control: MessagePort;
  readonly #counters: Counters;
  readonly #bus: Bus;
  readonly #wheel: TimerWheel;
  readonly #sampler: Sampler;
  readonly #connections = new Directory();
  readonly #mail: MailRouter;
  readonly #host: ConnectionHost;
  readonly #stopped = Promise.withResolvers<void>();
  #hasStopped = false;
  readonly #acceptor: Acceptor;
  readonly #departures: Departures;
  readonly #meter: EventLoopMeter;
  readonly #failedHandshakes = new ReportLimit();
  readonly #failedAccepts = new ReportLimit(1);
  #actorClass: ActorClass | undefined;
  #requestHeaders: readonly string[] = [];
  #sockets: SocketAcceptor | undefined;
  #drain: Drain | undefined;
  #releaseDetached: () => void = () => {};

  constructor(task: ShardTask) {
    this.#task = task;
    this.#control = task.control;
    this.#counters = new Counters(task.counters);
    this.#counters.clearGauges();
    this.#bus = new Bus({
      publishDropped: () => this.#counters.add("publishesDropped"),
      newCohort: () => new Cohort(this.#counters),
      delivered: (count) => this.#counters.add("deliveries", count),
      batchArrived: (lagSeconds) => this.#counters.busLag.observe(lagSeconds),
    });
    this.#departures = new Departures(this.#counters, (addresses) => this.report({ kind: "departed", addresses }));
    this.#meter = new EventLoopMeter(task.meter, this.#counters);
    this.#wheel = new TimerWheel(tickMs(task.options));
    const behind = new Set<Outbound>();
    this.#sampler = new Sampler(this.#counters, behind);
    const slowConsumers = new ReportLimit();
    const vanished = new ReportLimit();
    const detached = new ReportLimit();
    const handlerTimeouts = new ReportLimit();
    const deadLetters = new DeadLetters(
      () => this.#counters.add("deadLetters"),
      (lost) => this.report({ kind: "mailDied", lost }),
    );
    this.#mail = new MailRouter({
      shard: task.shard,
      mailCame: (to, mail) => this.#connections.get(to)?.mailCame(mail) ?? "gone",
      mailDied: (lost) => deadLetters.add(lost),
    });
    const turns = new Turns();
    const { mailboxLimit: messages, mailboxLimitBytes: bytes, mailLimit: mails } = task.options;
    this.#host = {
      shard: task.shard,
      options: task.options,
      bus: this.#bus,
      wheel: this.#wheel,
      turns,
      flushQueue: new FlushQueue(),
      behind,
      counters: this.#counters,
      deflaters: task.options.compression && new Deflaters(task.options.compression),
      slowConsumer: (id, policy, bufferedBytes) => {
        if (slowConsumers.allows()) this.report({ kind: "slowConsumer", id, policy, bufferedBytes });
      },
      vanished: (id) => {
        this.#counters.add("abnormalClosures");
        if (vanished.allows()) this.report({ kind: "abnormalClosure", id });
      },
      cells: {
        limits: { messages, bytes, mails },
        turns,
        scopes: new ActorScopes(),
        watch: new HandlerWatch(this.#wheel, task.options),
        waiting: (length) => this.#counters.raise("mailboxHighWater", length),
      },
      mailer: this.#mail,
      mailDied: (lost) => deadLetters.add(lost),
      actorFailed: (id, handler, error, outcome) => {
        // One handler may leave any number of promises alone.
        if (handler === "detached" && !detached.allows()) return;
        this.report({ kind: "actorFailed", id, handler, outcome, error: reportError(error) });
      },
      handlerTimedOut: (id, handler, limitMs) => {
        if (handlerTimeouts.allows()) this.report({ kind: "handlerTimedOut", id, handler, limitMs });
      },
      actorEnded: () => this.#drain?.actorEnded(),
      escalate,
      connectionClosed: (connection, clean) => this.#connectionClosed(connection, clean),
    };
    this.#acceptor = this.#createAcceptor();
  }

  /** For the handshakes that are this shard's own. */
  #createAcceptor(): Acceptor {
    const { shard, trustedProxies } = this.#task;
    const requestHeaders = (): readonly string[] => this.#requestHeaders;
    const handOff = (socket: Duplex, head: Buffer, arrival: Arrival): Promise<HandoffResult> =>
      takeOver(socket, head, (transport) => {
        const adopt = (address: string | undefined): void => this.#adopt(transport, { ...arrival, address });
        if (this.#sockets === undefined) adopt(undefined);
        else this.#sockets.handOver(socket, adopt);
      });
    const here: Destination = {
      shard,
      handOff,
      get requestHeaders() {
        return requestHeaders();
      },
    };
    const owner = {
      isRemote: false,
      place: () => here,
      here,
      clients: trustedProxies.length === 0 ? undefined : new ClientAddresses(trustedProxies),
      handshakeFailed: (error: Error) => this.#handshakeFailed(error),
      acceptFailed: (error: Error) => this.#acceptFailed(error),
    };
    // Ids differ from those that the main thread gives, and from those of this shard's earlier lives.
    const series = `${Date.now().toString(36)}-`;
    return new Acceptor(owner, {
      counters: this.#counters.upgrades,
      series,
      compression: this.#task.options.compression,
    });
  }

  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  async start(): Promise<void> {
    this.#releaseDetached = catchDetached(this.#host.cells.scopes, (error) => {
      this.#counters.add("actorFailures");
      this.#host.actorFailed(undefined, "detached", error, "resumed");
    });
    this.#control.on("message", (order: ShardOrder) => this.#obey(order));
    const linked = this.#task.links.map((link) => this.#addLink(link));
    const { actorClass, authorize } = await loadActorModule(this.#task.actor);
    this.#actorClass = actorClass;
    this.#requestHeaders = requestHeadersOf(actorClass);
    await Promise.all(linked);
    if (this.#hasStopped) return;
    const adopt = (transport: Transport, arrival: Arrival): void => this.#adopt(transport, arrival);
    receiveHandoffs(this.#task.handoff, adopt);
    receiveRelayed(this.#task.relay, adopt);
    const sockets = new SocketAcceptor({
      acceptor: this.#acceptor,
      departures: this.#departures,
      counters: this.#counters,
      authorize,
      adopt,
      acceptFailed: (error) => this.#acceptFailed(error),
    });
    this.#sockets = sockets;
    receiveUnread<UnreadArrival, ListenerNotice>(this.#task.unread, {
      told: ({ listener, settings }) => sockets.configure(listener, settings),
      adoptServer: (server, { listener }) => sockets.listen(server, listener),
      adopt: (socket, { listener, address }) => sockets.accept(socket, listener, address),
    });
    this.#meter.start();
    this.report({ kind: "ready", authorizes: authorize !== undefined, requestHeaders: this.#requestHeaders });
  }

  #handshakeFailed(error: Error): void {
    if (this.#failedHandshakes.allows()) this.report({ kind: "handshakeFailed", error: reportError(error) });
  }

  #acceptFailed(error: Error): void {
    this.#counters.add("acceptsFailed");
    if (this.#failedAccepts.allows()) this.report({ kind: "acceptFailed", error: reportError(error) });
  }

  report(report: ShardReport): void {
    this.#control.postMessage(report);
  }

  stop(): void {
    this.#hasStopped = true;
    this.#meter.stop();
    this.#wheel.stop();
    this.#sampler.stop();
    this.#releaseDetached();
    this.#bus.close();
    this.#task.handoff.port.close();
    this.#task.relay.port.close();
    this.#task.unread.port.close();
    this.#sockets?.close();
    this.#control.close();
    this.#stopped.resolve();
  }

  #obey(order: ShardOrder): void {
    switch (order.kind) {
      case "link":
        void this.#addLink(order.link);
        return;
      case "query":
        this.report({
          kind: "queryAnswered",
          serial: order.serial,
          answer: answerQuery(this.#connections, order.query),
        });
        return;
      case "drain":
        this.#startDrain(order.settings);
        return;
      case "stop":
        this.stop();
        return;
    }
  }

  #addLink({ port, shard }: ThreadLink): Promise<void> {
    this.#mail.addLink(port, shard);
    return this.#bus.addLink(port);
  }

  #adopt(transport: Transport, { identity, answer, deflate, address }: Arrival): void {
    const connection = new Connection(transport, identity, this.#host, deflate);
    this.#connections.add(connection);
    this.#departures.arrived(connection, address);
    try {
      connection.open(this.#actorClass as ActorClass, answer);
    } catch (error) {
      // Refused: it never was here.
      this.#connections.delete(connection);
      this.#departures.forget(connection);
      throw error;
    }
    this.#drain?.add(connection);
  }

  #connectionClosed(connection: { readonly address: Address }, clean: boolean): void {
    if (this.#connections.delete(connection)) this.#departures.left(connection);
    this.#drain?.connectionClosed(clean);
  }

  #startDrain(settings: DrainSettings): void {
    this.#sockets?.stopListening();
    // Requests whose answer is awaited get it first, if they can be given it in time.
    const answered = this.#acceptor.close();
    const cutOff = setTimeout(() => this.#sockets?.close(), settings.timeoutMs);
    const runningActors = (): number => this.#counters.get("actors");
    this.#drain = new Drain(this.#connections, runningActors, settings, (counts) => {
      void answered.then(() => {
        clearTimeout(cutOff);
        // After answers to asks, which leave at the end of the tick.
        setImmediate(() => this.report({ kind: "drained", ...counts }));
      });
    });
  }
}

/** Ends this thread with an error that nobody catches, when what was reported has gone ahead: its connections close with it. */
function escalate(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}

/** Fine enough for the shortest deadline in the options to be kept within a tenth, between 5 ms and half a second. */
function tickMs(options: ConnectionOptions): number {
  const { pingIntervalMs, pongTimeoutMs, closeTimeoutMs, maxMessagesPerSecond, maxBytesPerSecond } = options;
  const { handlerTimeoutMs, handlerTimeoutAfterCloseMs } = options;
  const limited = maxMessagesPerSecond !== undefined || maxBytesPerSecond !== undefined;
  const never = Number.POSITIVE_INFINITY;
  // Rates are of a second.
  const handlers = Math.min(handlerTimeoutMs || never, handlerTimeoutAfterCloseMs || never);
  const peers = Math.min(pingIntervalMs || never, pongTimeoutMs, closeTimeoutMs, limited ? 1_000 / 4 : never);
  const shortest = Math.min(handlers, peers);
  return Math.min(500, Math.max(5, Math.floor(shortest / 10)));
}
