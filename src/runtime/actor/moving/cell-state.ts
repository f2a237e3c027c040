/** An actor that moves, as plain data, and what waits for it. `ActorCell` saves and loads it. */
import { type Message, messageOf } from "../../../wire/protocol/message.ts";
import { Opcode } from "../../../wire/protocol/opcode.ts";
import type { ActorTimer, ActorTimers, TimerState } from "../actor-timers.ts";
import { type Mail, type MailData, mailData } from "../mail.ts";
import type { Notice } from "../work.ts";
import { checkPlainData } from "./plain-data.ts";

/** An actor between two handlers, as plain data. */
export interface CellState {
  /** Messages, mail, notices and calls of timers that wait in the mailbox, in order. */
  readonly waiting: readonly WaitingState[];
  /** Timers by method name. */
  readonly timers: readonly TimerState[];
  /** Ages of the failures that still count, in ms. */
  readonly failuresMs: readonly number[];
  /** `static moves` of the class that wrote the state. */
  readonly version: number;
  /** Result of `suspended`, as `v8.serialize` writes it. */
  readonly state: Uint8Array;
}

/** One thing that waits for an actor. */
export type WaitingState =
  | { readonly kind: "message"; readonly type: "text" | "binary"; readonly bytes: Uint8Array }
  | ({ readonly kind: "mail" } & MailData)
  /** A call of a timer that has expired: the place of a repeating timer in `timers`, or a call of its own. */
  | { readonly kind: "timer"; readonly of: number }
  | { readonly kind: "expired"; readonly method: string; readonly argument: unknown }
  | Notice;

type Waiting = Message | Mail | ActorTimer | Notice;

/** Returns what waits, as data. Calls of functions are left out: they belong to the object that is gone. */
export function saveWaiting(waiting: readonly Waiting[], timers: readonly ActorTimer[]): WaitingState[] {
  return waiting.map((one) => saveOne(one, timers)).filter((one) => one !== undefined);
}

function saveOne(one: Waiting, timers: readonly ActorTimer[]): WaitingState | undefined {
  switch (one.kind) {
    case "message":
      return { kind: "message", type: one.type, bytes: one.bytes };
    case "mail":
      return { kind: "mail", ...mailData(one) };
    case "notice":
      return one;
    case "timer": {
      const { call, cancelled } = one;
      if (cancelled || typeof call === "function") return undefined;
      const of = timers.indexOf(one);
      return of >= 0 ? { kind: "timer", of } : { kind: "expired", ...call };
    }
  }
}

/**
 * Throws `ERR_STATE_NOT_CLONEABLE` if something that waits would be changed on its way: mail between threads may hold a
 * `Blob`, and bytes can't.
 */
export function checkWaiting(waiting: readonly WaitingState[]): void {
  for (const one of waiting) {
    if (one.kind === "mail") checkPlainData(one.value, "a mail that waits");
    else if (one.kind === "expired") checkPlainData(one.argument, "the argument of a timer");
  }
}

/** Returns what waits. The bytes of messages are copied. */
export function loadWaiting(
  waiting: readonly WaitingState[],
  timers: ActorTimers,
  revive: ((data: MailData) => Mail) | undefined,
): Waiting[] {
  return waiting.map((one) => loadOne(one, timers, revive)).filter((one) => one !== undefined);
}

function loadOne(
  one: WaitingState,
  timers: ActorTimers,
  revive: ((data: MailData) => Mail) | undefined,
): Waiting | undefined {
  switch (one.kind) {
    case "message":
      return messageOf(one.type === "text" ? Opcode.text : Opcode.binary, one.bytes);
    case "mail":
      return revive?.(one) ?? { kind: "mail", value: one.value, from: one.from, answer: undefined };
    case "notice":
      return one;
    case "timer": {
      const timer = timers.all[one.of];
      if (timer !== undefined) timer.waits = true;
      return timer;
    }
    case "expired":
      return timers.expired({ method: one.method, argument: one.argument });
  }
}
