import { reviveError, SwitchboardError } from "../../errors.ts";
import type { Address } from "../actor/address.ts";
import type { AskOptions, AskOutcome } from "../actor/mail.ts";
import type { MailLink } from "./mail-link.ts";

/** Asks of one thread that may wait for their answers. */
const MAX_ASKS = 65_536;
const DEFAULT_TIMEOUT_MS = 5_000;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

interface Pending {
  readonly to: Address;
  /** Where the answer comes from; undefined: this very thread. */
  readonly link: MailLink | undefined;
  readonly timer: NodeJS.Timeout;
  readonly result: PromiseWithResolvers<unknown>;
}

/** The asks of one thread that wait for their answers. */
export class Asks {
  readonly #pending = new Map<number, Pending>();
  #serial = 0;

  /** Begins to wait; undefined when too many do. Throws `ERR_OPTION`. */
  begin(
    to: Address,
    link: MailLink | undefined,
    { timeoutMs = DEFAULT_TIMEOUT_MS }: AskOptions = {},
  ): { ask: number; result: Promise<unknown> } | undefined {
    if (!(Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= MAX_TIMEOUT_MS)) {
      const message = `ask: timeoutMs takes an integer from 1 to ${MAX_TIMEOUT_MS}, got ${String(timeoutMs)}`;
      throw new SwitchboardError("ERR_OPTION", message);
    }
    if (this.#pending.size >= MAX_ASKS) return undefined;
    const ask = this.#serial++;
    const result = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => {
      const message = `${to} hasn't answered within ${timeoutMs} ms`;
      this.#take(ask)?.result.reject(new SwitchboardError("ERR_ASK_TIMEOUT", message));
    }, timeoutMs);
    this.#pending.set(ask, { to, link, timer, result });
    return { ask, result: result.promise };
  }

  /** The mail wasn't even accepted. */
  refuse(ask: number, verdict: "full" | "gone"): void {
    const pending = this.#take(ask);
    pending?.result.reject(verdict === "full" ? askFull(pending.to) : askGone(pending.to));
  }

  /** Only the first outcome counts, and none that comes too late. */
  settle(ask: number, outcome: AskOutcome): void {
    const pending = this.#take(ask);
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

  /** No answer comes from that thread any more. */
  linkClosed(link: MailLink): void {
    for (const [ask, pending] of this.#pending) {
      if (pending.link === link) this.settle(ask, { kind: "gone" });
    }
  }

  #take(ask: number): Pending | undefined {
    const pending = this.#pending.get(ask);
    if (pending === undefined) return undefined;
    this.#pending.delete(ask);
    clearTimeout(pending.timer);
    return pending;
  }
}

function askGone(to: Address): SwitchboardError {
  return new SwitchboardError("ERR_ASK_GONE", `${to} has closed, or closed before it answered`);
}

export function askFull(to: Address): SwitchboardError {
  return new SwitchboardError("ERR_ASK_FULL", `${to}, or the way there, has no room for more mail`);
}
