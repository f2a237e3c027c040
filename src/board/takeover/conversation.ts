/** A channel as a sequence of messages, with a limit for the silence of the other process. Both ends have one. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { reportError, reviveOurError, SwitchboardError } from "../../errors.ts";
import type { Channel } from "../../wire/passing/channel.ts";
import { closePassed } from "../../wire/passing/passed-sockets.ts";
import { PendingReplies } from "../../wire/transport/pending-replies.ts";
import type {
  Alive,
  AnswerQuestion,
  Aside,
  OtherProcess,
  PredecessorMessage,
  SuccessorMessage,
  TakeoverFacts,
} from "./messages.ts";

export interface Received<Message> {
  readonly message: Message;
  /** Descriptors that came with the message. They belong to the caller of `next`. */
  readonly descriptors: readonly number[];
}

/** The facts of the other process that sources and sinks ask for. */
export type OtherFacts = Pick<TakeoverFacts, "state" | "takesProgramState">;

/** Number of parts of the patience that must pass without a sign of life before the other process counts as hanging. */
const PARTS = 5;

/** Longest time between two signs of life, in ms: the patience of the other process may be shorter than ours. */
const SIGN_MS = 500;

/** Milliseconds that the other process has to close its end as well. */
const CLOSE_TIMEOUT_MS = 5_000;

const POLL_MS = 5;

/** True unless a process has ended. A zombie has ended when its last thread has: it has closed everything by then. */
function isRunning(pid: number): boolean {
  try {
    const hasEnded = /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
    return !hasEnded || readdirSync(`/proc/${pid}/task`).length > 1;
  } catch {
    return false;
  }
}

export class Conversation<
  Theirs extends PredecessorMessage | SuccessorMessage,
  Ours extends PredecessorMessage | SuccessorMessage,
> {
  readonly #channel: Channel;
  readonly #patienceMs: number;
  readonly #timer: NodeJS.Timeout;
  readonly #signs: NodeJS.Timeout;
  #silentParts = 0;
  readonly #queue: Received<Exclude<Theirs, Alive | Aside>>[] = [];
  readonly #answer: AnswerQuestion;
  /** Questions without an answer. */
  readonly #asked = new PendingReplies<PromiseWithResolvers<unknown>>();
  #ended = false;
  /** True once this process wants no more messages. */
  #isClosed = false;
  #error: Error | undefined;
  /** Looks again at the queue, the end and the silence. */
  #wake: () => void = () => {};

  /**
   * @param patienceMs time without a sign of life after which the other process hangs. Counted in parts, of which a
   * process that was itself stopped for a while counts only one.
   * @param answer answers questions of the other process
   */
  constructor(channel: Channel, patienceMs: number, answer: AnswerQuestion = noAnswer) {
    this.#channel = channel;
    this.#answer = answer;
    this.#patienceMs = patienceMs;
    this.#timer = setInterval(() => this.#tick(), patienceMs / PARTS);
    const sign = (): void => channel.send({ kind: "alive" } satisfies Alive);
    this.#signs = setInterval(sign, Math.min(SIGN_MS, patienceMs / PARTS));
    channel.start({
      received: (message, descriptors) => this.#received(message as Theirs, descriptors),
      ended: (error) => {
        this.#ended = true;
        this.#error = error;
        this.#stopTimers();
        for (const { reject } of this.#asked.takeAll()) reject(this.#gone());
        this.#wake();
      },
    });
  }

  /**
   * Returns the other process for questions beside the steps.
   *
   * @param facts its facts
   */
  otherProcess({ state, takesProgramState = false }: OtherFacts): OtherProcess {
    const hasEnded = (): boolean => this.#ended || this.#isClosed;
    return {
      state,
      takesProgramState,
      get hasEnded() {
        return hasEnded();
      },
      ask: (question, sockets) => this.#ask(question, sockets),
    };
  }

  #ask(question: unknown, sockets: readonly number[] = []): Promise<unknown> {
    if (this.#ended || this.#isClosed) return Promise.reject(this.#gone());
    const reply = Promise.withResolvers<unknown>();
    const serial = this.#asked.add(reply);
    try {
      this.#channel.send({ kind: "asked", serial, question } satisfies Aside, sockets);
    } catch (error) {
      this.#asked.take(serial);
      reply.reject(error);
    }
    return reply.promise;
  }

  /** Sends a message, with copies of descriptors. Does nothing after the end. */
  send(message: Ours, descriptors: readonly number[] = []): void {
    this.#channel.send(message, descriptors);
  }

  /**
   * Resolves with the next message; with undefined when the other process has closed the channel, or has ended. Rejects
   * with `ERR_TAKEOVER_TIMEOUT` when it hangs, and with what went wrong here.
   */
  async next(): Promise<Received<Exclude<Theirs, Alive | Aside>> | undefined> {
    for (;;) {
      const received = this.#queue.shift();
      if (received !== undefined) return received;
      if (this.#error !== undefined) throw this.#error;
      if (this.#ended) return undefined;
      if (this.#silentParts >= PARTS) {
        const message = `process ${this.#channel.peer.pid} gave no sign of life for ${this.#patienceMs} ms`;
        throw new SwitchboardError("ERR_TAKEOVER_TIMEOUT", message);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Watches the other process no longer. The conversation goes on, and keeps no process alive. */
  rest(): void {
    this.#stopTimers();
    this.#silentParts = 0;
    this.#channel.unref();
  }

  /**
   * Ends the other process if it hasn't ended, and resolves when it has. Messages that it has sent before may still
   * arrive: `next` has the patience for them once more.
   */
  async kill(): Promise<void> {
    const { pid } = this.#channel.peer;
    // A channel that ended by an error of this process says nothing about the other one.
    const mayRun = !this.#ended || this.#error !== undefined;
    if (mayRun) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // The process has just ended.
      }
    }
    while (mayRun && this.isOtherRunning) await delay(POLL_MS);
    this.#silentParts = 0;
  }

  /** Lets the other process go on if a signal has stopped it (SIGSTOP), and has the patience once more. */
  letGoOn(): void {
    try {
      process.kill(this.#channel.peer.pid, "SIGCONT");
    } catch {
      // The process has just ended, which the channel tells.
    }
    this.#silentParts = 0;
  }

  /** False if the other process has ended. */
  get isOtherRunning(): boolean {
    return isRunning(this.#channel.peer.pid);
  }

  /** Resolves when the other process has ended. Ends it after the patience, which is counted as the silence is. */
  async outlive(): Promise<void> {
    const stepMs = this.#patienceMs / PARTS;
    for (let part = 0; part < PARTS && this.isOtherRunning; part++) {
      const deadline = performance.now() + stepMs;
      while (this.isOtherRunning && performance.now() < deadline) await delay(POLL_MS);
    }
    await this.kill();
  }

  /** Closes the channel when all messages have left, and closes descriptors that nobody took. */
  close(): void {
    this.#silentParts = 0;
    this.#stopTimers();
    this.#channel.close();
    if (!this.#ended) setTimeout(() => this.#channel.destroy(), CLOSE_TIMEOUT_MS).unref();
    this.#isClosed = true;
    for (const { descriptors } of this.#queue.splice(0)) for (const one of descriptors) closePassed(one);
  }

  #received(message: Theirs, descriptors: readonly number[]): void {
    this.#silentParts = 0;
    switch (message.kind) {
      case "alive":
        return;
      case "asked":
        void this.#respond(message.serial, message.question, descriptors);
        return;
      case "answered": {
        const reply = this.#asked.take(message.serial);
        if ("error" in message) reply?.reject(reviveOurError(message.error));
        else reply?.resolve(message.answer);
        return;
      }
      default:
    }
    if (this.#isClosed) {
      for (const one of descriptors) closePassed(one);
      return;
    }
    this.#queue.push({ message: message as Exclude<Theirs, Alive | Aside>, descriptors });
    this.#wake();
  }

  async #respond(serial: number, question: unknown, sockets: readonly number[]): Promise<void> {
    try {
      const answer = await this.#answer(question, sockets);
      this.#channel.send({ kind: "answered", serial, answer } satisfies Aside);
    } catch (error) {
      this.#channel.send({ kind: "answered", serial, error: reportError(error) } satisfies Aside);
    }
  }

  #gone(): SwitchboardError {
    return new SwitchboardError("ERR_TAKEOVER_LOST", `process ${this.#channel.peer.pid} has ended`);
  }

  #stopTimers(): void {
    clearInterval(this.#timer);
    clearInterval(this.#signs);
  }

  #tick(): void {
    this.#silentParts++;
    if (this.#silentParts >= PARTS) this.#wake();
  }
}

/** True for the error of `next` when the other process hangs. */
export function isTimeout(error: unknown): boolean {
  return error instanceof SwitchboardError && error.code === "ERR_TAKEOVER_TIMEOUT";
}

async function noAnswer(_question: unknown, sockets: readonly number[]): Promise<never> {
  for (const one of sockets) closePassed(one);
  throw new SwitchboardError("ERR_TAKEOVER_LOST", "this process answers no questions");
}
