/**
 * The asks of one thread that wait for their answers. `MailRouter` owns it.
 */
import { reviveError, SwitchboardError } from "../../errors.ts";
import { checkNames, MAX_INT32 } from "../../wire/handshake/option-check.ts";
import { PendingReplies } from "../../wire/transport/pending-replies.ts";
import type { Address } from "../actor/address.ts";
import type { AskOptions, AskOutcome } from "../actor/mail.ts";

/** Number of asks of one thread that may wait at a time. */
const MAX_ASKS = 65_536;
/** Time that an answer may take by default, and a verdict from another node, in ms. */
export const DEFAULT_TIMEOUT_MS = 5_000;
const ASK_OPTIONS = ["timeoutMs"] satisfies (keyof AskOptions)[];

interface Pending {
  readonly to: Address;
  /** Life of the thread that answers, as far as this thread knows; undefined for another node. */
  life: number | undefined;
  /** Number of moves of the actor that this thread knows of; -1 until the actor has the mail. */
  moves: number;
  readonly result: PromiseWithResolvers<unknown>;
}

export class Asks {
  readonly #pending = new PendingReplies<Pending>();

  /** Begins to wait for an answer. Returns undefined when too many asks wait. Throws `ERR_OPTION`. */
  begin(
    to: Address,
    life: number | undefined,
    options: AskOptions = {},
  ): { ask: number; result: Promise<unknown> } | undefined {
    checkNames("ask", options, ASK_OPTIONS);
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    if (!(Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= MAX_INT32)) {
      const message = `ask: timeoutMs takes an integer from 1 to ${MAX_INT32}, got ${String(timeoutMs)}`;
      throw new SwitchboardError("ERR_OPTION", message);
    }
    if (this.#pending.size >= MAX_ASKS) return undefined;
    const result = Promise.withResolvers<unknown>();
    const ask = this.#pending.addUntil({ to, life, moves: -1, result }, timeoutMs, () => {
      const message = `${to} hasn't answered within ${timeoutMs} ms`;
      result.reject(new SwitchboardError("ERR_ASK_TIMEOUT", message));
    });
    return { ask, result: result.promise };
  }

  /** The mail was refused, so no answer will come. */
  refuse(ask: number, verdict: "full" | "gone"): void {
    const pending = this.#pending.take(ask);
    pending?.result.reject(verdict === "full" ? askFull(pending.to) : askGone(pending.to));
  }

  /** Settles an ask. A second outcome, or one after the timeout, is ignored. */
  settle(ask: number, outcome: AskOutcome): void {
    const pending = this.#pending.take(ask);
    if (pending === undefined) return;
    const { to, result } = pending;
    switch (outcome.kind) {
      case "answered":
        result.resolve(outcome.value);
        return;
      case "gone":
        result.reject(askGone(to));
        return;
      case "failed": {
        const cause = reviveError(outcome.error);
        const message = `${to} failed to answer: ${cause.message}`;
        result.reject(new SwitchboardError("ERR_ASK_FAILED", message, { cause }));
      }
    }
  }

  /**
   * The actor that was asked is in another thread.
   *
   * @param moves number of its moves since the ask: what is known of a later move counts
   */
  moved(ask: number, life: number, moves: number): void {
    const pending = this.#pending.get(ask);
    if (pending === undefined || moves <= pending.moves) return;
    pending.life = life;
    pending.moves = moves;
  }

  /** A thread has ended: the asks of the actors that were there are settled as `gone`. */
  threadEnded(life: number): void {
    const gone = this.#pending.takeAll((pending) => pending.life === life);
    for (const { to, result } of gone) result.reject(askGone(to));
  }
}

function askGone(to: Address): SwitchboardError {
  return new SwitchboardError("ERR_ASK_GONE", `${to} has closed, or closed before it answered`);
}

export function askFull(to: Address): SwitchboardError {
  return new SwitchboardError("ERR_ASK_FULL", `${to}, or the way there, has no room for more mail`);
}
