/**
 * Handoffs that wait for an answer of their new owner, each until a deadline. The sending ends of a shard's handoff
 * ports and its relay use it.
 */
import type { Duplex } from "node:stream";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { type ErrorReport, reviveError, SwitchboardError } from "../../errors.ts";

/** Outcome of a handoff. */
export type HandoffResult =
  | { readonly outcome: "adopted" }
  /** The peer was gone before the socket could be moved. */
  | { readonly outcome: "peerGone" }
  /**
   * The socket couldn't leave this thread: no descriptor or memory was left, or the shard didn't look at it in time.
   * The caller owns this `socket` (not the one that was sent) and answers or closes it.
   */
  | { readonly outcome: "stayed"; readonly socket: Duplex; readonly error: Error }
  /** The shard died with the socket, refused it or never took it. The socket is closed. */
  | { readonly outcome: "failed"; readonly error: Error };

/** Default number of milliseconds that a shard has to answer for a socket. */
export const HANDOFF_TIMEOUT_MS = 5_000;

/** Largest number of handoffs that wait on one port. The shard gets no more until it has answered. */
const MAX_IN_FLIGHT = 16_384;

/** One end of a channel for handoffs to another thread. */
export interface HandoffEnd {
  readonly port: MessagePort;
  /** Memory of the channel's `Decisions`, shared by both ends. */
  readonly decisions: SharedArrayBuffer;
}

/** Creates a channel for handoffs. */
export function createHandoffChannel(): { readonly sender: HandoffEnd; readonly receiver: HandoffEnd } {
  const { port1, port2 } = new MessageChannel();
  const decisions = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  return { sender: { port: port1, decisions }, receiver: { port: port2, decisions } };
}

/**
 * Decides which end owns each handoff of a channel: the receiver that takes it, or the sender that gives it up at its
 * deadline. The first one to claim a handoff owns it, so none is both counted as failed and adopted. One shared number
 * says how many handoffs are decided: they arrive, and reach their deadlines, in the order of their serials.
 */
export class Decisions {
  readonly #count: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#count = new Int32Array(memory);
  }

  /** Returns true if the caller is the first to decide on this handoff. All handoffs before it must be decided. */
  claim(serial: number): boolean {
    const expected = serial | 0;
    return Atomics.compareExchange(this.#count, 0, expected, (serial + 1) | 0) === expected;
  }
}

interface PendingHandoff {
  readonly resolve: (result: HandoffResult) => void;
  readonly giveUp: (error: Error) => HandoffResult;
  /** Time by `performance.now()`; infinite once the shard is known to have taken the handoff. */
  deadline: number;
}

export class PendingHandoffs {
  readonly #decisions: Decisions;
  readonly #timeoutMs: number;
  /** Pending handoffs by serial, the oldest first. */
  readonly #pending = new Map<number, PendingHandoff>();
  #timer: NodeJS.Timeout | undefined;
  #serial = 0;
  #stalled = false;

  constructor(decisions: SharedArrayBuffer, timeoutMs: number) {
    this.#decisions = new Decisions(decisions);
    this.#timeoutMs = timeoutMs;
  }

  /** Number of handoffs that the shard hasn't answered for. */
  get count(): number {
    return this.#pending.size;
  }

  /**
   * True if the shard gets no more now: it let a deadline pass and has answered nothing since, or it has too many to
   * answer for.
   */
  get isFull(): boolean {
    return this.#stalled || this.#pending.size >= MAX_IN_FLIGHT;
  }

  /** Serial of the next handoff that is added. Serials have no gaps. */
  get nextSerial(): number {
    return this.#serial;
  }

  /**
   * Waits for the answer to the handoff that was posted under `nextSerial`.
   *
   * @param giveUp called at the deadline, unless the shard has taken the handoff by then
   */
  add(giveUp: (error: Error) => HandoffResult): Promise<HandoffResult> {
    return new Promise((resolve) => {
      const deadline = performance.now() + this.#timeoutMs;
      this.#pending.set(this.#serial++, { resolve, giveUp, deadline });
      this.#timer ??= setTimeout(this.#check, this.#timeoutMs).unref();
    });
  }

  /** The shard answered. An answer for a handoff that was given up only shows that the shard works again. */
  settle(serial: number, error: ErrorReport | undefined): void {
    this.#stalled = false;
    const result: HandoffResult =
      error === undefined ? { outcome: "adopted" } : { outcome: "failed", error: reviveError(error) };
    this.#resolve(serial, result);
  }

  /** The shard ended: every handoff that it hasn't answered for has failed. */
  lose(): void {
    clearTimeout(this.#timer);
    for (const serial of [...this.#pending.keys()]) this.#resolve(serial, { outcome: "failed", error: lost() });
  }

  #resolve(serial: number, result: HandoffResult): void {
    const pending = this.#pending.get(serial);
    this.#pending.delete(serial);
    pending?.resolve(result);
  }

  readonly #check = (): void => {
    this.#timer = undefined;
    const now = performance.now();
    for (const [serial, pending] of this.#pending) {
      if (pending.deadline === Number.POSITIVE_INFINITY) continue;
      if (pending.deadline > now) {
        this.#timer = setTimeout(this.#check, Math.ceil(pending.deadline - now)).unref();
        return;
      }
      if (this.#decisions.claim(serial)) {
        this.#stalled = true;
        this.#resolve(serial, pending.giveUp(timedOut(this.#timeoutMs)));
      } else {
        pending.deadline = Number.POSITIVE_INFINITY;
      }
    }
  };
}

export function lost(): SwitchboardError {
  return new SwitchboardError("ERR_SHARD_LOST", "the shard ended before it took the socket over");
}

function timedOut(timeoutMs: number): SwitchboardError {
  const message = `the shard didn't take the socket over within ${timeoutMs} ms: its event loop stands still or is overloaded`;
  return new SwitchboardError("ERR_HANDOFF_TIMEOUT", message);
}
