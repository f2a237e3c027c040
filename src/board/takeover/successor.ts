/** The part of the process that takes over: gets listening sockets, then connections, group by group. */
import { reportError, SwitchboardError } from "../../errors.ts";
import type { PassedPublish } from "../../runtime/feeds/topics.ts";
import { type Channel, ChannelCut } from "../../wire/passing/channel.ts";
import { closePassed } from "../../wire/passing/passed-sockets.ts";
import { ownFacts } from "./compatibility.ts";
import { Conversation, isTimeout, type Received } from "./conversation.ts";
import type {
  Alive,
  AnswerQuestion,
  Aside,
  MovingConnection,
  MovingListener,
  OtherProcess,
  PredecessorMessage,
  SuccessorMessage,
  TakeoverFacts,
} from "./messages.ts";

/** Takes the listening sockets, luggage and connections that another process gives away. */
export interface TakeoverSink {
  readonly moves: TakeoverFacts["moves"];
  readonly shards: number;
  readonly state?: TakeoverFacts["state"];
  readonly takesProgramState?: TakeoverFacts["takesProgramState"];
  /** Takes the listening sockets, and resolves when the program listens. */
  listen(listeners: readonly MovingListener[], other: OtherProcess): Promise<void>;
  /** Answers a question of the other process. */
  readonly answer?: AnswerQuestion;
  /** Takes luggage beside connections. Rejects if the takeover can't go on without. */
  take(luggage: unknown): Promise<void>;
  /** Reads the states of connections, which still belong to the old process. Rejects if one can't be read. */
  adopt(connections: readonly MovingConnection[]): Promise<void>;
  /** Starts connections that were adopted. They and their descriptors belong to the sink. */
  start(connections: readonly MovingConnection[]): void;
  /** Everything has been taken over. Resolves when the next takeover can come. */
  finish(): Promise<void>;
  /** The old process has published, after it gave everything away. */
  published(publishes: readonly PassedPublish[]): void;
}

export interface TakeOverSettings {
  /** Milliseconds without a sign of life after which the old process gets SIGCONT, and after as many more is ended. */
  readonly patienceMs: number;
}

/** The old process may hold more connections than it has given: it gets more time than it gives. */
export const DEFAULT_TAKE_OVER: TakeOverSettings = { patienceMs: 30_000 };

export interface TakenOver {
  /** Process id of the old process. */
  readonly pid: number;
  readonly connections: number;
  /** True if the old process ended before it had given everything. */
  readonly predecessorDied: boolean;
  /** Resolves when the old process publishes and asks nothing more. */
  readonly left: Promise<void>;
}

/**
 * The old process ended before it answered, or its board closed (`ERR_TAKEOVER_LOST`): it has refused nothing, and
 * given nothing. The sink wasn't asked for anything. Whether another process can be taken over now is to be looked up
 * again.
 */
export class Unanswered extends SwitchboardError {
  constructor(pid: number) {
    super("ERR_TAKEOVER_LOST", `process ${pid} closed the connection before it answered`);
  }
}

/**
 * Takes everything over from the process at the other end of a channel. Rejects with `ERR_TAKEOVER_REFUSED` and, before
 * the old process has answered, with `ERR_TAKEOVER_TIMEOUT`, `Unanswered` and `ChannelCut`; with the error of the sink,
 * and with `ERR_OUT_OF_DESCRIPTORS`. After a rejection connections that weren't started go on in the old process.
 */
export async function takeOver(
  channel: Channel,
  sink: TakeoverSink,
  settings: TakeOverSettings = DEFAULT_TAKE_OVER,
): Promise<TakenOver> {
  return new Successor(channel, sink, settings).run();
}

class Successor {
  readonly #pid: number;
  readonly #talk: Conversation<PredecessorMessage, SuccessorMessage>;
  readonly #sink: TakeoverSink;
  /** Connections that were adopted, and that may not be started yet. */
  #held: MovingConnection[] = [];
  /** Descriptors of sockets that came ahead, by their numbers. */
  readonly #ahead = new Map<number, number>();
  /** Number of connections that were started. */
  #started = 0;

  constructor(channel: Channel, sink: TakeoverSink, settings: TakeOverSettings) {
    this.#pid = channel.peer.pid;
    this.#talk = new Conversation(channel, settings.patienceMs, sink.answer);
    this.#sink = sink;
  }

  async run(): Promise<TakenOver> {
    try {
      const { listeners, other } = await this.#greet();
      await this.#sink.listen(listeners, other);
      this.#talk.send({ kind: "listening" });
      const predecessorDied = !(await this.#takeAll());
      this.#closeAhead();
      const left = Promise.withResolvers<void>();
      if (!predecessorDied) void this.#takePublishes(left.resolve);
      else {
        this.#talk.close();
        left.resolve();
      }
      return { pid: this.#pid, connections: this.#started, predecessorDied, left: left.promise };
    } catch (error) {
      // First the connections are let go of, then the old process may take them back.
      for (const { descriptor } of this.#held.splice(0)) closePassed(descriptor);
      this.#closeAhead();
      const { message } = reportError(error);
      const code = error instanceof SwitchboardError ? error.code : "ERR_TAKEOVER_LOST";
      this.#talk.send({ kind: "failed", code, message });
      this.#talk.close();
      throw error;
    }
  }

  /** Takes what the old process publishes until it ends. Calls back when it needs this process no more. */
  async #takePublishes(left: () => void): Promise<void> {
    this.#talk.rest();
    try {
      for (let next = await this.#talk.next(); next !== undefined; next = await this.#talk.next()) {
        if (next.message.kind === "published") this.#sink.published(next.message.publishes);
        else if (next.message.kind === "left") left();
      }
    } catch {
      // The channel is broken: nothing more comes.
    }
    left();
    this.#talk.close();
  }

  async #greet(): Promise<{ readonly listeners: readonly MovingListener[]; readonly other: OtherProcess }> {
    this.#talk.send({ kind: "hello", facts: ownFacts(this.#sink) });
    const received = await this.#firstAnswer();
    if (received === undefined) throw new Unanswered(this.#pid);
    const { message, descriptors } = received;
    if (message.kind === "refused") throw new SwitchboardError("ERR_TAKEOVER_REFUSED", message.message);
    if (message.kind !== "welcome") throw unexpected(message.kind);
    const listeners = message.listeners.map((name, index) => ({ name, descriptor: descriptors[index] as number }));
    return { listeners, other: this.#talk.otherProcess(message.facts) };
  }

  /** Resolves with undefined if the old process has closed the channel, or has ended. */
  async #firstAnswer(): Promise<Received<Exclude<PredecessorMessage, Alive | Aside>> | undefined> {
    try {
      return await this.#talk.next();
    } catch (error) {
      // An old process that still runs goes on, so this one may not.
      if (!(error instanceof ChannelCut) || this.#talk.isOtherRunning) throw error;
      return undefined;
    }
  }

  /** Resolves with true when the old process has given everything, with false when it ended before that. */
  async #takeAll(): Promise<boolean> {
    for (;;) {
      const received = await this.#nextOrKill();
      if (received === undefined) {
        // These connections have no other owner: the old process closes the channel only by its end.
        this.#start();
        await this.#sink.finish();
        return false;
      }
      const { message, descriptors } = received;
      switch (message.kind) {
        case "luggage":
          await this.#sink.take(message.luggage);
          this.#talk.send({ kind: "taken" });
          break;
        case "ahead":
          for (const [index, number] of message.numbers.entries()) {
            this.#ahead.set(number, descriptors[index] as number);
          }
          this.#talk.send({ kind: "taken" });
          break;
        case "connections": {
          const some = this.#assemble(message, descriptors);
          this.#held.push(...some);
          await this.#sink.adopt(some);
          this.#talk.send({ kind: "adopted", serial: message.serial });
          break;
        }
        case "go":
          this.#start();
          break;
        case "done":
          await this.#sink.finish();
          this.#talk.send({ kind: "finished" });
          return true;
        default:
          throw unexpected(message.kind);
      }
    }
  }

  /** Puts states and sockets together. */
  #assemble(
    { states, shards, ahead }: Extract<PredecessorMessage, { readonly kind: "connections" }>,
    descriptors: readonly number[],
  ): MovingConnection[] {
    const come = descriptors.values();
    return states.map((state, index) => {
      const number = ahead[index];
      const descriptor = number === undefined ? come.next().value : this.#ahead.get(number);
      if (number !== undefined) this.#ahead.delete(number);
      if (descriptor === undefined) throw unexpected("connection without a socket");
      return { state, descriptor, shard: shards[index] as number };
    });
  }

  /** Closes sockets whose connections have ended in the old process, or don't come. */
  #closeAhead(): void {
    for (const descriptor of this.#ahead.values()) closePassed(descriptor);
    this.#ahead.clear();
  }

  #start(): void {
    const held = this.#held;
    this.#held = [];
    this.#started += held.length;
    this.#sink.start(held);
  }

  /**
   * Ends the old process when it hangs: what it has given can go on then. Connections that it has not given end with
   * it, so a process that a signal has stopped is let go on first.
   */
  async #nextOrKill(): Promise<Received<Exclude<PredecessorMessage, Alive | Aside>> | undefined> {
    try {
      return await this.#nextOrAgain();
    } catch (error) {
      if (error instanceof ChannelCut) {
        // The old process ends this one if it has anything to take back. Otherwise it ends by itself.
        await this.#talk.outlive();
        return undefined;
      }
      if (!isTimeout(error)) throw error;
    }
    await this.#talk.kill();
    try {
      return await this.#talk.next();
    } catch (error) {
      // `switchboard run` hangs as well, and the old process has ended.
      if (isTimeout(error) || error instanceof ChannelCut) return undefined;
      throw error;
    }
  }

  /** Waits for the next message with the patience, and once more after SIGCONT. */
  async #nextOrAgain(): Promise<Received<Exclude<PredecessorMessage, Alive | Aside>> | undefined> {
    try {
      return await this.#talk.next();
    } catch (error) {
      if (!isTimeout(error)) throw error;
    }
    this.#talk.letGoOn();
    return this.#talk.next();
  }
}

function unexpected(kind: string): SwitchboardError {
  return new SwitchboardError("ERR_TAKEOVER_LOST", `the old process sent an unexpected "${kind}"`);
}
