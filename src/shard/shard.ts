import type { Duplex } from "node:stream";
import type { MessagePort } from "node:worker_threads";
import { type ActorClass, isActorClass } from "../actor/actor.ts";
import { supervisionOf } from "../actor/supervision.ts";
import { Turns } from "../actor/turns.ts";
import { Bus } from "../bus/bus.ts";
import { type ErrorReport, reportError, SwitchboardError } from "../errors.ts";
import { CloseCode } from "../protocol/close-code.ts";
import { Deflaters } from "../protocol/deflater.ts";
import { receiveHandoffs, receiveUnread } from "../transport/handoff.ts";
import { receiveRelayed } from "../transport/relay.ts";
import { takeOver } from "../transport/take-over.ts";
import type { Transport } from "../transport/transport.ts";
import { Acceptor } from "./acceptor.ts";
import type { Authorize } from "./authorize.ts";
import { type Arrival, Connection, type ConnectionHost, type ConnectionOptions } from "./connection.ts";
import { Counters } from "./counters.ts";
import { DeadLetters } from "./dead-letters.ts";
import { catchDetached } from "./detached-failures.ts";
import { Directory } from "./directory.ts";
import { MailRouter } from "./mail-router.ts";
import type { ListenerNotice, ShardOrder, ShardReport, ShardTask, ThreadLink, UnreadArrival } from "./messages.ts";
import { FlushQueue } from "./outbound.ts";
import { answerQuery } from "./queries.ts";
import { SocketAcceptor } from "./socket-acceptor.ts";
import { TimerWheel } from "./timer-wheel.ts";

/**
 * Runs one shard in this thread until it is told to stop. Returns why it couldn't start, if it couldn't: as a report, because what is thrown
 * across threads loses its name and code.
 */
export async function runShard(task: ShardTask): Promise<ErrorReport | undefined> {
  const shard = new Shard(task);
  try {
    await shard.start();
  } catch (error) {
    shard.stop();
    return reportError(error);
  }
  await shard.stopped;
  return undefined;
}

class Shard {
  readonly #task: ShardTask;
  readonly #control: MessagePort;
  readonly #counters: Counters;
  readonly #bus: Bus;
  readonly #wheel: TimerWheel;
  readonly #connections = new Directory();
  readonly #mail: MailRouter;
  readonly #host: ConnectionHost;
  readonly #stopped = Promise.withResolvers<void>();
  readonly #acceptor: Acceptor;
  #actorClass: ActorClass | undefined;
  #sockets: SocketAcceptor | undefined;
  #drain: Drain | undefined;
  #releaseDetached: () => void = () => {};

  constructor(task: ShardTask) {
    this.#task = task;
    this.#control = task.control;
    this.#counters = new Counters(task.counters);
    // A life before this one may have ended in the middle of counting.
    this.#counters.set("connections", 0);
    this.#counters.set("handshakes", 0);
    this.#bus = new Bus({ publishDropped: () => this.#counters.add("publishesDropped") });
    this.#wheel = new TimerWheel(tickMs(task.options));
    const deadLetters = new DeadLetters(
      () => this.#counters.add("deadLetters"),
      (lost) => this.report({ kind: "mailDied", lost }),
    );
    this.#mail = new MailRouter({
      shard: task.shard,
      mailCame: (to, mail) => this.#connections.get(to)?.mailCame(mail) ?? "gone",
      mailDied: (lost) => deadLetters.add(lost),
    });
    const { mailboxLimit: messages, mailboxLimitBytes: bytes, mailLimit: mails } = task.options;
    this.#host = {
      shard: task.shard,
      options: task.options,
      bus: this.#bus,
      wheel: this.#wheel,
      flushQueue: new FlushQueue(),
      counters: this.#counters,
      deflaters: task.options.compression && new Deflaters(task.options.compression),
      cells: { limits: { messages, bytes, mails }, turns: new Turns() },
      mailer: this.#mail,
      mailDied: (lost) => deadLetters.add(lost),
      actorFailed: (id, handler, error, outcome) =>
        this.report({ kind: "actorFailed", id, handler, outcome, error: reportError(error) }),
      // Later, so that what was reported goes ahead, and caught by nobody.
      escalate: (error) =>
        void setImmediate(() => {
          throw error;
        }),
      connectionClosed: (connection, clean) => this.#connectionClosed(connection, clean),
    };
    this.#acceptor = this.#createAcceptor();
  }

  /** For the handshakes that are this shard's own. */
  #createAcceptor(): Acceptor {
    const { shard } = this.#task;
    const place = {
      shard,
      handOff: (socket: Duplex, head: Buffer, arrival: Arrival) =>
        takeOver(socket, head, (transport) => {
          try {
            this.#adopt(transport, arrival);
          } finally {
            this.#sockets?.release(socket);
          }
        }),
    };
    const owner = {
      isRemote: false,
      place: () => place,
      handshakeFailed: (error: Error) => this.report({ kind: "handshakeFailed", error: reportError(error) }),
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
    this.#releaseDetached = catchDetached(
      () => this.#counters.add("actorFailures"),
      (error) => {
        const detached = { id: undefined, handler: "detached", outcome: "resumed" } as const;
        this.report({ kind: "actorFailed", ...detached, error: reportError(error) });
      },
    );
    this.#control.on("message", (order: ShardOrder) => this.#obey(order));
    const linked = this.#task.links.map((link) => this.#addLink(link));
    const { actorClass, authorize } = await loadActorModule(this.#task.actor);
    this.#actorClass = actorClass;
    await Promise.all(linked);
    const adopt = (transport: Transport, arrival: Arrival): void => this.#adopt(transport, arrival);
    receiveHandoffs(this.#task.handoff, adopt);
    receiveRelayed(this.#task.relay, adopt);
    const sockets = new SocketAcceptor({ acceptor: this.#acceptor, counters: this.#counters, authorize });
    this.#sockets = sockets;
    receiveUnread<UnreadArrival, ListenerNotice>(this.#task.unread, {
      told: ({ listener, settings }) => sockets.configure(listener, settings),
      adopt: (socket, { listener }) => sockets.accept(socket, listener),
    });
    this.report({ kind: "ready", authorizes: authorize !== undefined });
  }

  report(report: ShardReport): void {
    this.#control.postMessage(report);
  }

  stop(): void {
    this.#wheel.stop();
    this.#releaseDetached();
    this.#bus.close();
    this.#task.handoff.close();
    this.#task.relay.close();
    this.#task.unread.close();
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
        this.#startDrain(order.timeoutMs);
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

  #adopt(transport: Transport, { identity, answer, deflate }: Arrival): void {
    const connection = new Connection(transport, identity, this.#host, deflate);
    this.#connections.add(connection);
    connection.open(this.#actorClass as ActorClass, answer);
    this.#drain?.add(connection);
  }

  #connectionClosed(connection: Connection, clean: boolean): void {
    this.#connections.delete(connection);
    this.#drain?.connectionClosed(this.#connections.size, clean);
  }

  #startDrain(timeoutMs: number): void {
    // Requests whose answer is awaited get it first, if they can be given it in time.
    const answered = this.#acceptor.close();
    const cutOff = setTimeout(() => this.#sockets?.close(), timeoutMs);
    this.#drain = new Drain(this.#connections, timeoutMs, (closed, dropped) => {
      void answered.then(() => {
        clearTimeout(cutOff);
        this.report({ kind: "drained", closed, dropped });
      });
    });
  }
}

/** The orderly end of all connections: close handshakes until the time is up, then without. */
class Drain {
  readonly #done: (closed: number, dropped: number) => void;
  readonly #timer: NodeJS.Timeout;
  #closed = 0;
  #dropped = 0;
  #cutOff = false;
  #finished = false;

  constructor(connections: Directory, timeoutMs: number, done: (closed: number, dropped: number) => void) {
    this.#done = done;
    this.#timer = setTimeout(() => {
      this.#cutOff = true;
      for (const connection of connections) connection.destroy();
    }, timeoutMs);
    for (const connection of connections) this.add(connection);
    if (connections.size === 0) this.#finish();
  }

  add(connection: Connection): void {
    if (this.#cutOff) connection.destroy();
    else connection.startClosing(CloseCode.goingAway, "server is going away");
  }

  connectionClosed(remaining: number, clean: boolean): void {
    if (clean) this.#closed++;
    else this.#dropped++;
    if (remaining === 0) this.#finish();
  }

  #finish(): void {
    // Connections that were still on their way here are closed like the others, after the report.
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#timer);
    this.#done(this.#closed, this.#dropped);
  }
}

/** The module's own error when it can't be loaded, ours when its exports aren't what they must be. */
async function loadActorModule(url: string): Promise<{ actorClass: ActorClass; authorize: Authorize | undefined }> {
  const module: { default?: unknown; authorize?: unknown } = await import(url);
  if (!isActorClass(module.default)) {
    throw new SwitchboardError(
      "configuration",
      "ERR_NO_ACTOR_CLASS",
      `${url} must have a class that extends Actor (of this very package) as its default export, and has ${describe(module.default)}`,
    );
  }
  supervisionOf(module.default);
  const { authorize } = module;
  if (authorize !== undefined && typeof authorize !== "function") {
    const message = `${url} exports an authorize that is no function, but ${describe(authorize)}`;
    throw new SwitchboardError("configuration", "ERR_AUTHORIZE", message);
  }
  return { actorClass: module.default, authorize: authorize as Authorize | undefined };
}

function describe(value: unknown): string {
  if (value === undefined) return "none";
  return typeof value === "function"
    ? "a function or class that doesn't"
    : `${typeof value === "object" ? "an" : "a"} ${typeof value}`;
}

/** Fine enough for the shortest deadline in the options to be kept within a tenth, between 5 ms and half a second. */
function tickMs({ pingIntervalMs, pongTimeoutMs, closeTimeoutMs }: ConnectionOptions): number {
  const shortest = Math.min(pingIntervalMs || Number.POSITIVE_INFINITY, pongTimeoutMs, closeTimeoutMs);
  return Math.min(500, Math.max(5, Math.floor(shortest / 10)));
}
