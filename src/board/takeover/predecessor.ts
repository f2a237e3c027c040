/** The part of the process that is taken over: gives everything away in steps, and takes it back when that fails. */
import { SwitchboardError } from "../../errors.ts";
import type { PassedPublish } from "../../runtime/feeds/topics.ts";
import { type Channel, ChannelCut } from "../../wire/passing/channel.ts";
import { closePassed } from "../../wire/passing/passed-sockets.ts";
import { ownFacts, whyIncompatible } from "./compatibility.ts";
import { Conversation, isTimeout, type OtherFacts } from "./conversation.ts";
import type {
  AheadSocket,
  AnswerQuestion,
  MovingConnection,
  MovingListener,
  OtherProcess,
  PredecessorMessage,
  SuccessorMessage,
  TakeoverFacts,
} from "./messages.ts";

/** The listening sockets, luggage and connections that a process gives away. */
export interface TakeoverSource {
  readonly moves: TakeoverFacts["moves"];
  readonly shards: number;
  readonly state?: TakeoverFacts["state"];
  /** Number of connections now. */
  readonly connections: number;
  /** Listening sockets. The descriptors stay the source's. */
  listeners(): Promise<readonly MovingListener[]>;
  /**
   * Sockets of connections that go on meanwhile, at most `count` together: for a channel on which each socket takes a
   * while. The next are asked for when the sink has taken those before. `acceptAgain` follows if the takeover fails.
   * Absent: no socket goes ahead.
   */
  ahead?(count: number): AsyncIterable<readonly AheadSocket[]>;
  /**
   * Stops accepting, and resolves when no handshake is under way. The listening sockets stay open. Upgrades on sockets
   * that were accepted before wait for the outcome.
   */
  stopAccepting(): Promise<void>;
  /** Accepts again, after a takeover that failed. */
  acceptAgain(): Promise<void>;
  /**
   * Luggage that goes along beside connections, before any of them: plain data, piece by piece. The next piece is asked
   * for when the sink has taken the one before. Connections may be stopped meanwhile.
   */
  luggage(other: OtherProcess): AsyncIterable<unknown>;
  /** Luggage that goes while everything goes on, before all else. `acceptAgain` follows if the takeover fails. */
  luggageAhead?(other: OtherProcess): AsyncIterable<unknown>;
  /** Answers a question of the other process. */
  readonly answer?: AnswerQuestion;
  /**
   * Stops connections, at most `count`, and gives them up with their descriptors. Resolves with an empty list when none
   * is left.
   */
  suspend(count: number): Promise<readonly MovingConnection[]>;
  /** Takes connections back, which go on where they were stopped. */
  resume(connections: readonly MovingConnection[]): Promise<void>;
}

export interface HandOverSettings {
  /** Connections that are stopped at a time, and that a failure concerns. */
  readonly groupSize: number;
  /** Connections in one message. */
  readonly batchSize: number;
  /**
   * Milliseconds without a sign of life after which the successor is ended. If it has everything already, it gets
   * SIGCONT then, and has six times as long in all.
   */
  readonly patienceMs: number;
  /** Milliseconds that the successor has from its start until it listens. */
  readonly listenTimeoutMs: number;
}

export const DEFAULT_HAND_OVER: HandOverSettings = {
  groupSize: 1_000,
  batchSize: 100,
  patienceMs: 5_000,
  listenTimeoutMs: 60_000,
};

export type HandOverResult =
  /** Everything belongs to the successor. */
  | {
      readonly outcome: "handedOver";
      readonly pid: number;
      readonly connections: number;
      /**
       * True if the successor gave no sign of life since it was told to start everything. It wasn't ended: all
       * connections are in it.
       */
      readonly isSilent: boolean;
      /** Passes publishes on, until this process or the successor ends. */
      readonly publish: (publishes: readonly PassedPublish[]) => void;
      /** Tells the successor that this process publishes and asks nothing more. */
      readonly leave: () => void;
      /** The successor, which takes upgrades that are too late for this process. */
      readonly other: OtherProcess;
    }
  /** Nothing was stopped. */
  | { readonly outcome: "refused"; readonly pid: number; readonly error: SwitchboardError }
  /**
   * The successor failed, and everything that it hadn't been told to start goes on here.
   *
   * `connections`: number of those that it had been told to start.
   */
  | { readonly outcome: "failed"; readonly pid: number; readonly connections: number; readonly error: Error };

/** Number of times that a successor which has everything may be silent for the patience. */
const MAX_SILENCES = 6;

/** The successor said itself that it can't go on, and has let go of what isn't its own. */
class SuccessorRefused extends SwitchboardError {}

/** Gives everything to the process at the other end of a channel. Never rejects because of that process. */
export async function handOver(
  channel: Channel,
  source: TakeoverSource,
  settings: HandOverSettings = DEFAULT_HAND_OVER,
): Promise<HandOverResult> {
  return new Predecessor(channel, source, settings).run();
}

/** Tells a process that it can't take over now. */
export function refuseTakeover(channel: Channel, message: string): void {
  const talk = new Conversation<SuccessorMessage, PredecessorMessage>(channel, DEFAULT_HAND_OVER.patienceMs);
  talk.send({ kind: "refused", message });
  talk.close();
}

class Predecessor {
  readonly #pid: number;
  readonly #isSlow: boolean;
  readonly #talk: Conversation<SuccessorMessage, PredecessorMessage>;
  readonly #source: TakeoverSource;
  readonly #settings: HandOverSettings;
  #listeners: readonly MovingListener[] = [];
  #theirFacts: OtherFacts = {};
  /** Connections that are stopped, and that the successor hasn't been told to start. */
  #group: MovingConnection[] = [];
  /** Number of connections that the successor has been told to start. */
  #given = 0;
  #serial = 0;
  /** True once the source has been asked to prepare for the end. */
  #hasBegun = false;
  /** True once nothing is left to give. */
  #hasGivenAll = false;

  constructor(channel: Channel, source: TakeoverSource, settings: HandOverSettings) {
    this.#pid = channel.peer.pid;
    this.#isSlow = channel.isSlow;
    this.#talk = new Conversation(channel, settings.patienceMs, source.answer);
    this.#source = source;
    this.#settings = settings;
  }

  async run(): Promise<HandOverResult> {
    const pid = this.#pid;
    const refusal = await this.#greet();
    if (refusal !== undefined) {
      this.#talk.send({ kind: "refused", message: refusal.message });
      this.#talk.close();
      return { outcome: "refused", pid, error: refusal };
    }
    // Now the end of the channel means to the successor that this process has ended. Whatever goes wrong, the successor
    // ends first.
    try {
      await this.#giveListeners();
      const other = this.#talk.otherProcess(this.#theirFacts);
      this.#hasBegun = true;
      if (this.#source.luggageAhead !== undefined) await this.#giveLuggage(this.#source.luggageAhead(other));
      if (this.#isSlow) await this.#giveAhead();
      await this.#source.stopAccepting();
      await this.#giveLuggage(this.#source.luggage(other));
      while (!this.#hasGivenAll) await this.#giveGroup();
      this.#talk.send({ kind: "done" });
      return this.#handedOver(!(await this.#hasFinished()));
    } catch (error) {
      // The successor may not have read "go" and "done". The end of this process tells it the same.
      const ownsAll = error instanceof ChannelCut && this.#hasGivenAll && this.#talk.isOtherRunning;
      if (ownsAll) return this.#handedOver(false);
      if (error instanceof SuccessorRefused) this.#talk.close();
      else await this.#talk.kill();
      await this.#takeBack();
      return { outcome: "failed", pid, connections: this.#given, error: error as Error };
    }
  }

  /**
   * Resolves with true when everything runs in the successor; with false when it gives no sign of life. It isn't ended
   * then, because all connections would end with it, but it is let go on if a signal has stopped it.
   */
  async #hasFinished(): Promise<boolean> {
    for (let silences = 1; ; silences++) {
      try {
        await this.#expect("finished");
        return true;
      } catch (error) {
        if (!isTimeout(error)) throw error;
        if (silences === MAX_SILENCES) return false;
      }
      this.#talk.letGoOn();
    }
  }

  #handedOver(isSilent: boolean): HandOverResult {
    this.#talk.rest();
    const publish = (publishes: readonly PassedPublish[]): void => this.#talk.send({ kind: "published", publishes });
    const leave = (): void => this.#talk.send({ kind: "left" });
    const other = this.#talk.otherProcess(this.#theirFacts);
    return { outcome: "handedOver", pid: this.#pid, connections: this.#given, isSilent, publish, leave, other };
  }

  /** Resolves with the reason if the successor can't take over. */
  async #greet(): Promise<SwitchboardError | undefined> {
    const refused = (message: string): SwitchboardError => new SwitchboardError("ERR_TAKEOVER_REFUSED", message);
    // A process that hangs must be ended, and a process of another namespace can't be.
    if (this.#pid <= 0)
      return refused("the new process isn't visible to the old one: it runs in another PID namespace");
    try {
      const { facts } = await this.#expect("hello");
      this.#theirFacts = facts;
      this.#listeners = await this.#source.listeners();
      const needed = this.#source.connections + this.#listeners.length;
      const reason = whyIncompatible(ownFacts(this.#source), facts, needed);
      return reason === undefined ? undefined : refused(reason);
    } catch (error) {
      return error instanceof SwitchboardError ? error : refused((error as Error).message);
    }
  }

  async #giveListeners(): Promise<void> {
    const listeners = this.#listeners.map(({ name }) => name);
    const descriptors = this.#listeners.map(({ descriptor }) => descriptor);
    this.#talk.send({ kind: "welcome", facts: ownFacts(this.#source), listeners }, descriptors);
    const { listenTimeoutMs } = this.#settings;
    const slow = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const message = `process ${this.#pid} didn't listen within ${listenTimeoutMs} ms`;
      slow.reject(new SwitchboardError("ERR_TAKEOVER_TIMEOUT", message));
    }, listenTimeoutMs);
    try {
      await Promise.race([this.#expect("listening"), slow.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #giveLuggage(pieces: AsyncIterable<unknown>): Promise<void> {
    for await (const luggage of pieces) {
      this.#talk.send({ kind: "luggage", luggage });
      await this.#expect("taken");
    }
  }

  async #giveAhead(): Promise<void> {
    for await (const sockets of this.#source.ahead?.(this.#settings.batchSize) ?? []) {
      const numbers = sockets.map(({ number }) => number);
      const descriptors = sockets.map(({ descriptor }) => descriptor);
      this.#talk.send({ kind: "ahead", numbers }, descriptors);
      await this.#expect("taken");
    }
  }

  /** Gives the next group of connections, which is the last one if the source has no more. */
  async #giveGroup(): Promise<void> {
    const { groupSize, batchSize } = this.#settings;
    const group = this.#group;
    /** Serial of the message whose answer comes next. */
    let adopted = this.#serial;
    let isLast = false;
    while (group.length < groupSize) {
      const batch = await this.#source.suspend(Math.min(batchSize, groupSize - group.length));
      isLast = batch.length === 0;
      if (isLast) break;
      group.push(...batch);
      const serial = this.#serial++;
      const states = batch.map(({ state }) => state);
      const descriptors = batch.filter(({ ahead }) => ahead === undefined).map(({ descriptor }) => descriptor);
      const shards = batch.map(({ shard }) => shard);
      const ahead = batch.map(({ ahead }) => ahead);
      this.#talk.send({ kind: "connections", serial, states, shards, ahead }, descriptors);
      // The successor reads one message while the next one is on its way.
      if (serial > adopted) await this.#expectAdopted(adopted++);
    }
    while (adopted < this.#serial) await this.#expectAdopted(adopted++);
    if (group.length === 0) {
      this.#hasGivenAll = true;
      return;
    }
    // The end of the successor is the end of all its connections from here on. It may have ended since its `adopted`.
    if (!this.#talk.isOtherRunning) throw hasEnded(this.#pid);
    // The successor has all of them: first they cease to be ours, then they are its own.
    this.#group = [];
    this.#hasGivenAll = isLast;
    for (const { descriptor } of group) closePassed(descriptor);
    this.#given += group.length;
    this.#talk.send({ kind: "go" });
  }

  async #expectAdopted(serial: number): Promise<void> {
    const adopted = await this.#expect("adopted");
    if (adopted.serial !== serial) throw unexpected("adopted");
  }

  async #takeBack(): Promise<void> {
    const group = this.#group;
    this.#group = [];
    if (group.length > 0) await this.#source.resume(group);
    if (this.#hasBegun) await this.#source.acceptAgain();
  }

  /** Resolves with the next message, which must be of this kind. */
  async #expect<Kind extends SuccessorMessage["kind"]>(
    kind: Kind,
  ): Promise<Extract<SuccessorMessage, { readonly kind: Kind }>> {
    const received = await this.#talk.next();
    if (received === undefined) throw hasEnded(this.#pid);
    const { message } = received;
    if (message.kind === "failed") throw new SuccessorRefused(message.code, message.message);
    if (message.kind !== kind) throw unexpected(message.kind);
    return message as Extract<SuccessorMessage, { readonly kind: Kind }>;
  }
}

function hasEnded(pid: number): SwitchboardError {
  return new SwitchboardError("ERR_TAKEOVER_LOST", `process ${pid} ended before the takeover was done`);
}

function unexpected(kind: string): SwitchboardError {
  return new SwitchboardError("ERR_TAKEOVER_LOST", `the new process sent an unexpected "${kind}"`);
}
