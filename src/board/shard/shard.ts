/**
 * A shard: everything that runs in one worker thread, put together. `runShard` makes one, and `bench/memory.ts`
 * measures a `Shard` without a thread.
 */
import type { MessagePort, Transferable } from "node:worker_threads";
import { reportError } from "../../errors.ts";
import { ActorScopes } from "../../runtime/actor/actor-scopes.ts";
import type { Address } from "../../runtime/actor/address.ts";
import { HandlerWatch } from "../../runtime/actor/handlers/handler-watch.ts";
import { MailboxCompactor } from "../../runtime/actor/queue/mailbox.ts";
import { setReportSink } from "../../runtime/actor/report-sink.ts";
import { DeadLetters } from "../../runtime/mail/dead-letters.ts";
import { MailRouter } from "../../runtime/mail/mail-router.ts";
import { FairScheduler } from "../../runtime/scheduling/fair-scheduler.ts";
import { TimerWheel } from "../../runtime/scheduling/timer-wheel.ts";
import { Counters } from "../../runtime/stats/counters.ts";
import { EventLoopMeter } from "../../runtime/stats/event-loop-meter.ts";
import { Sampler } from "../../runtime/stats/sampler.ts";
import { transferable } from "../../wire/node-internals/net.ts";
import { Deflaters } from "../../wire/protocol/deflate/deflater.ts";
import type { RelayReceiver } from "../../wire/transport/relay/relay.ts";
import type { HandshakeTransport, Transport } from "../../wire/transport/transport.ts";
import { ClosedSocketReporter } from "../accept/closed-socket-reporter.ts";
import type { LateSocket } from "../accept/sockets/socket-acceptor-owner.ts";
import { Connection } from "../connection/connection.ts";
import type { ConnectionHost, HandoffEnvelope } from "../connection/connection-host.ts";
import { FlushQueue } from "../connection/outbound/flush-queue.ts";
import type { Outbound } from "../connection/outbound/outbound.ts";
import { type ActorModule, type ActorModules, factsOf, loadActorModules } from "./actor-module.ts";
import { ConnectionRegistry } from "./connection-registry.ts";
import { catchDetached } from "./detached-failures.ts";
import { EventReporter } from "./event-reporter.ts";
import type { ShardOrder, ShardReport, ShardTask, ThreadLink } from "./messages.ts";
import { ModuleReports } from "./module-reports.ts";
import { Mover } from "./moving/mover.ts";
import type { MoverOwner } from "./moving/mover-owner.ts";
import { Passing } from "./moving/passing.ts";
import { Stayers } from "./moving/stayers.ts";
import { QueryResponder } from "./query-responder.ts";
import { ShardTopics } from "./shard-topics.ts";
import { Shutdown, type ShutdownSettings } from "./shutdown.ts";
import { SocketIntake } from "./socket-intake.ts";
import { tickMs } from "./tick-ms.ts";
import { mayWarmUp, WARM_UP_ACTORS, warmUp, warmUpTask } from "./warm-up.ts";

export class Shard {
  readonly #task: ShardTask;
  readonly #control: MessagePort;
  readonly #counters: Counters;
  readonly #topics: ShardTopics;
  readonly #wheel: TimerWheel;
  readonly #sampler: Sampler;
  readonly #connections = new ConnectionRegistry();
  readonly #mail: MailRouter;
  readonly #host: ConnectionHost;
  readonly #stopped = Promise.withResolvers<void>();
  #hasStopped = false;
  readonly #intake: SocketIntake;
  readonly #closedSockets: ClosedSocketReporter;
  readonly #mover: Mover;
  readonly #passing: Passing;
  readonly #stayers = new Stayers(this.#connections);
  readonly #queries: QueryResponder;
  readonly #meter: EventLoopMeter;
  readonly #events = new EventReporter((event) => this.report(event));
  readonly #reports = new ModuleReports(
    (reports) => this.report({ kind: "reported", reports }),
    () => this.#counters.add("reportsRefused"),
  );
  /** Empty until all modules are loaded. */
  #actors: ActorModules = new Map();
  readonly #loaded = Promise.withResolvers<ActorModules>();
  #shutdown: Shutdown | undefined;
  #releaseDetached: () => void = () => {};

  constructor(task: ShardTask) {
    this.#task = task;
    this.#control = task.control;
    this.#counters = new Counters([...task.actors.keys()], task.counters);
    this.#counters.clearGauges();
    const turns = new FairScheduler();
    this.#topics = new ShardTopics(task.engine, this.#counters, task.life, turns);
    this.#closedSockets = new ClosedSocketReporter(this.#counters, (clientKeys) =>
      this.report({ kind: "socketsClosed", clientKeys }),
    );
    this.#meter = new EventLoopMeter(task.meter, this.#counters);
    this.#wheel = new TimerWheel(tickMs(task.options));
    const behind = new Set<Outbound>();
    this.#sampler = new Sampler(this.#counters, behind);
    const deadLetters = new DeadLetters(
      () => this.#counters.add("deadLetters"),
      (lost) => this.#events.report("deadLetter", lost),
    );
    this.#mail = new MailRouter({
      shard: task.shard,
      life: task.life,
      addressPrefix: task.addressPrefix,
      mailReceived: (to, mail) => this.#connections.get(to)?.mailReceived(mail) ?? "gone",
      mailUndelivered: (lost) => deadLetters.add(lost),
      addresses: () => this.#connections.addresses(),
    });
    const { maxMailboxMessages: messages, maxMailboxBytes: bytes, maxMails: mails } = task.options;
    this.#host = {
      shard: task.shard,
      options: task.options,
      topics: this.#topics.topics,
      feeds: this.#topics.feeds,
      wheel: this.#wheel,
      turns,
      flushQueue: new FlushQueue(this.#counters),
      behind,
      counters: this.#counters,
      deflaters: task.options.compression && new Deflaters(task.options.compression),
      events: this.#events,
      cells: {
        limits: { messages, bytes, mails },
        turns,
        scopes: new ActorScopes(),
        compactor: new MailboxCompactor(),
        watch: new HandlerWatch(this.#wheel, task.options),
        revive: (data) => this.#mail.revive(data),
        waiting: (length) => this.#counters.raise("mailboxHighWater", length),
      },
      mailer: this.#mail,
      mailUndelivered: (lost) => deadLetters.add(lost),
      actorEnded: () => this.#shutdown?.actorEnded(),
      escalate,
      connectionClosed: (connection, clean) => this.#connectionClosed(connection, clean),
    };
    this.#intake = new SocketIntake({
      task,
      counters: this.#counters,
      turns,
      closedSockets: this.#closedSockets,
      events: this.#events,
      moduleOf: (actor) => this.#actors.get(actor),
      adopt: (transport, envelope) => this.#adopt(transport, envelope),
      passOn: (late) => this.#passOn(late),
    });
    const moverOwner = this.#moverOwner();
    this.#mover = new Mover(moverOwner);
    this.#passing = new Passing(moverOwner, this.#mover);
    this.#queries = new QueryResponder({
      connections: this.#connections,
      loaded: this.#loaded.promise,
      mail: this.#mail,
      mover: this.#mover,
      passing: this.#passing,
      stayers: this.#stayers,
      topics: this.#topics,
      intake: this.#intake,
      report: (report, transfer) => this.report(report, transfer),
    });
  }

  #moverOwner(): MoverOwner {
    const isClosing = (): boolean => this.#shutdown !== undefined;
    const intake = this.#intake;
    const relay = (): RelayReceiver => intake.relay;
    return {
      life: this.#task.life,
      host: this.#host,
      connections: this.#connections,
      get isClosing() {
        return isClosing();
      },
      get sockets() {
        return intake.tcpSockets;
      },
      moduleOf: (actor) => this.#actors.get(actor),
      leaveFor: (life, leavers) => this.#topics.leaveFor(life, leavers),
      publishesArrived: () => this.#topics.publishesArrived(),
      mail: this.#mail,
      get relay() {
        return relay();
      },
      departed: (connection) => {
        const clientKey = this.#closedSockets.clientKeyOf(connection);
        this.#closedSockets.forget(connection);
        return clientKey;
      },
      arrived: (connection, clientKey, openedAt) => {
        this.#connections.add(connection, openedAt);
        this.#closedSockets.arrived(connection, clientKey);
      },
      resumed: (connection) => {
        const { address } = connection;
        if (this.#connections.get(address) === connection) this.#mail.arrived(address);
        this.#shutdown?.add(connection);
      },
      serverArrived: (given) => this.#intake.takeOver(given),
      report: (report) => this.report(report),
    };
  }

  /** Posts a socket to the main thread. */
  #passOn(late: LateSocket): void {
    const { socket } = late;
    const handles = "handle" in socket ? [socket.handle] : [];
    // A part of a larger buffer would travel with all of that.
    const bytes = new Uint8Array(late.bytes);
    // The client isn't counted twice when its socket comes to the next thread.
    this.#closedSockets.flush();
    this.report({ kind: "lateUpgrade", ...late, bytes }, handles.map(transferable));
    // Without a descriptor for the move Node posts nothing, throws nothing, and leaves the handle open.
    for (const handle of handles.filter(({ fd = -1 }) => fd >= 0)) {
      handle.close();
      this.#counters.upgrades.add("failed");
    }
  }

  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  async start(): Promise<void> {
    this.#releaseDetached = catchDetached(this.#host.cells.scopes, (error) => {
      this.#counters.add("actorFailures");
      const failure = { handler: "detached", outcome: "resumed", error: reportError(error) } as const;
      this.#events.report("actorFailed", { id: undefined, actor: undefined, ...failure });
    });
    this.#control.on("message", (order: ShardOrder) => this.#obey(order));
    this.#intake.openRing();
    if (this.#task.warmUp && mayWarmUp()) await this.#warmUp();
    const linked = this.#task.links.map((link) => this.#addLink(link));
    // Actors of an earlier thread of this shard may live elsewhere.
    this.#mail.rebuild();
    setReportSink((value, address) => this.#reports.report(value, address));
    this.#actors = await loadActorModules(this.#task.actors);
    this.#loaded.resolve(this.#actors);
    await Promise.all(linked);
    if (this.#hasStopped) return;
    this.#intake.open();
    this.#meter.start();
    this.report({ kind: "ready", actors: factsOf(this.#actors) });
  }

  /** Lets a second shard in this thread, which nothing else knows, take connections that exist only in memory. */
  async #warmUp(): Promise<void> {
    const double = new Shard(warmUpTask(this.#task));
    await warmUp(double.acceptInMemory(WARM_UP_ACTORS));
    double.stop();
  }

  /** Lets connections that exist only in memory come in, each by its transport. For a shard that is never started. */
  acceptInMemory(actors: ActorModules): (transport: HandshakeTransport) => void {
    this.#actors = actors;
    return this.#intake.acceptInMemory();
  }

  report(report: ShardReport, transfer: Transferable[] = []): void {
    this.#control.postMessage(report, transfer);
  }

  stop(): void {
    this.#hasStopped = true;
    this.#reports.flush();
    this.#meter.stop();
    this.#wheel.stop();
    this.#sampler.stop();
    this.#releaseDetached();
    this.#topics.close();
    this.#intake.close();
    this.#control.close();
    this.#stopped.resolve();
  }

  #obey(order: ShardOrder): void {
    switch (order.kind) {
      case "engine":
        this.#topics.connectEngine(order.port);
        return;
      case "link":
        void this.#addLink(order.link);
        return;
      case "query":
        this.#queries.respond(order.serial, order.query);
        return;
      case "retire":
        this.#mail.retire(order.to);
        this.#mover.retire(order.to, this.#intake.takeServers());
        this.#intake.retire();
        return;
      case "reportsHandled":
        this.#reports.handled(order.count);
        return;
      case "shutDown":
        this.#startShutdown(order.settings);
        return;
      case "stop":
        this.stop();
        return;
    }
  }

  #addLink(link: ThreadLink): Promise<void> {
    const { port, shard, life, isSucceeded } = link;
    this.#mail.addLink(port, shard, life, isSucceeded);
    this.#mover.addLink(link, life);
    return this.#topics.addLink(port, life);
  }

  #adopt(transport: Transport, { identity, answer, deflate, clientKey }: HandoffEnvelope): void {
    const connection = new Connection(transport, identity, this.#host, deflate);
    this.#connections.add(connection);
    this.#closedSockets.arrived(connection, clientKey);
    const { actorClass } = this.#actors.get(identity.actor) as ActorModule;
    try {
      connection.open(actorClass, answer);
    } catch (error) {
      // The connection was refused, so the shard never had it.
      this.#connections.delete(connection);
      this.#closedSockets.forget(connection);
      throw error;
    }
    this.#shutdown?.add(connection);
    this.#mover.opened(connection);
  }

  #connectionClosed(connection: { readonly address: Address }, clean: boolean): void {
    if (this.#connections.delete(connection as Connection)) {
      this.#closedSockets.left(connection);
      this.#mail.ended(connection.address);
    }
    this.#mover.closed(connection);
    this.#stayers.connectionClosed(connection, clean);
    this.#shutdown?.connectionClosed(clean);
  }

  #startShutdown(settings: ShutdownSettings): void {
    // Requests under way get their answer first, if there is time.
    const answered = this.#intake.stopListening(settings.timeoutMs);
    const runningActors = (): number => this.#counters.get("actors");
    this.#shutdown = new Shutdown(this.#connections, runningActors, settings, (counts) => {
      void answered.then(() => {
        // Posted after answers to asks, which leave at the end of the tick.
        setImmediate(() => this.report({ kind: "shutdownDone", ...counts }));
      });
    });
  }
}

/** Ends this thread with an uncaught error, after pending reports have left. All its connections close. */
function escalate(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
