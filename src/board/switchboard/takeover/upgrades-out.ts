/**
 * Gives sockets without an answer to the process that has taken over: those whose upgrade request has waited for that,
 * or comes later, as long as this process lives. `BoardTakeover` has one `UpgradesOut` once its board was handed over.
 */

import type { Socket } from "node:net";
import { within } from "../../../runtime/scheduling/within.ts";
import type { UpgradeCounters } from "../../../runtime/stats/upgrade-counters.ts";
import { closePassed, socketAt } from "../../../wire/passing/passed-sockets.ts";
import { refuseUpgrade } from "../../../wire/upgrade/response.ts";
import { type LateUpgrade, LEFT_BEHIND } from "../../accept/late-upgrade.ts";
import type { OtherProcess } from "../../takeover/messages.ts";
import { PASS_ON_LIMIT_MS } from "./limits.ts";

/** Question to the process that has taken over: take this socket, which comes with the question. */
export interface TakeUpgradeQuestion extends Omit<LateUpgrade, "descriptor"> {
  readonly kind: "takeUpgrade";
}

export function isTakeUpgrade(question: unknown): question is TakeUpgradeQuestion {
  return (question as { readonly kind?: unknown } | undefined)?.kind === "takeUpgrade";
}

/** Sockets that the other process hasn't confirmed, at most. The others wait here. */
const MAX_UNDER_WAY = 32;

export class UpgradesOut {
  readonly #other: OtherProcess;
  readonly #counters: UpgradeCounters;
  readonly #failed: (error: Error) => void;
  /** Sockets in line. There are no more than this process had accepted before the takeover. */
  readonly #waiting: LateUpgrade[] = [];
  #underWay = 0;
  #idle = Promise.withResolvers<void>();

  /**
   * @param counters count what becomes of the sockets
   * @param failed told of a socket that couldn't be passed on
   */
  constructor(other: OtherProcess, counters: UpgradeCounters, failed: (error: Error) => void) {
    this.#other = other;
    this.#counters = counters;
    this.#failed = failed;
    this.#idle.resolve();
  }

  /** Passes a socket on, in its turn. The socket belongs to this object from now on. */
  pass(late: LateUpgrade): void {
    if (this.#underWay === 0) this.#idle = Promise.withResolvers();
    this.#waiting.push(late);
    this.#pump();
  }

  /** Resolves when no socket is on its way, or after 10 s. The process stays alive until then. */
  async settled(): Promise<void> {
    await within(PASS_ON_LIMIT_MS, this.#idle.promise);
  }

  #pump(): void {
    while (this.#underWay < MAX_UNDER_WAY) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#underWay++;
      void this.#give(next).finally(() => {
        this.#underWay--;
        this.#pump();
      });
    }
    if (this.#underWay === 0) this.#idle.resolve();
  }

  /** Never rejects. */
  async #give({ descriptor, listener, bytes }: LateUpgrade): Promise<void> {
    const couldArrive = !this.#other.hasEnded;
    const question: TakeUpgradeQuestion = { kind: "takeUpgrade", listener, bytes };
    try {
      await this.#other.ask(question, [descriptor]);
      this.#counters.add("passedOn");
      closePassed(descriptor);
    } catch (error) {
      const { code } = error as { readonly code?: string };
      if (couldArrive && code === "ERR_TAKEOVER_LOST") {
        // The other process may have had the socket, and may have answered.
        this.#counters.add("failed");
        closePassed(descriptor);
      } else this.#refuse(descriptor, bytes);
      this.#failed(error as Error);
    }
  }

  /** Answers a request that the other process doesn't take. A socket without a request is closed. */
  #refuse(descriptor: number, bytes: Uint8Array): void {
    let socket: Socket | undefined;
    try {
      if (bytes.length > 0) socket = socketAt(descriptor);
    } catch {
      // The number is no socket any more, or no descriptor is left.
    }
    if (socket === undefined) {
      this.#counters.add("failed");
      closePassed(descriptor);
      return;
    }
    this.#counters.addRefused(LEFT_BEHIND.status);
    refuseUpgrade(socket, LEFT_BEHIND);
  }
}
