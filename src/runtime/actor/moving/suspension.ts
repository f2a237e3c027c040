/** One attempt to suspend an actor, so that its connection can move. `ActorCell` has one at a time. */
import { serialize } from "node:v8";
import { SwitchboardError } from "../../../errors.ts";
import { checkPlainData } from "./plain-data.ts";

/** Why a connection stays where it is. */
export type StayReason =
  /** The connection is closing, or its peer has left. */
  | "closing"
  /** A handler was still under way at the limit. */
  | "busy"
  /** `suspended` threw, or took longer than the limit. */
  | "failed"
  /** The state can't be cloned, or is too large. */
  | "state"
  /** The class of the actor has no `moves`. */
  | "actor"
  /** The shard does the TLS of the connection, or the bytes are relayed and the move is one to another process. */
  | "transport"
  /** The other shard has ended, or no descriptor is left. */
  | "shard";

/** The result of a suspension. The actor object that was suspended is not used any more. */
export interface Suspended {
  /** Result of `suspended`. */
  readonly value: unknown;
  /** The same as bytes; the error if the value can't travel. */
  readonly bytes: Uint8Array | SwitchboardError;
}

/**
 * Called once. A reason means that the actor goes on as if nothing had happened.
 *
 * @param thrown what `suspended` threw; for the reason `failed`, absent if it took too long
 */
export type SuspensionDone = (result: Suspended | StayReason, thrown?: { readonly error: unknown }) => void;

/** Largest state of an actor that moves, in bytes. */
export const MAX_STATE_BYTES = 1024 * 1024;

/**
 * - `due`: the actor isn't idle yet.
 * - `running`: `suspended` was called.
 * - `suspended`: the actor gets nothing.
 * - `over`: the actor goes on.
 */
type Step = "due" | "running" | "suspended" | "over";

export class Suspension {
  readonly #done: SuspensionDone;
  readonly #timer: NodeJS.Timeout;
  #step: Step = "due";
  #value: unknown;

  /** `static moves` of the actor's class. */
  readonly version: number;

  /** @param limitReached called after `limitMs`, unless the actor is suspended or goes on by then */
  constructor(limitMs: number, version: number, limitReached: () => void, done: SuspensionDone) {
    this.version = version;
    this.#done = done;
    this.#timer = setTimeout(limitReached, limitMs);
  }

  get isSuspended(): boolean {
    return this.#step === "suspended";
  }

  get isRunning(): boolean {
    return this.#step === "running";
  }

  /** Result of `suspended`. */
  get value(): unknown {
    return this.#value;
  }

  /** Returns true if `suspended` is to be called now. It counts as running then. */
  begin(): boolean {
    if (this.#step !== "due") return false;
    this.#step = "running";
    return true;
  }

  /** `suspended` has returned. */
  succeed(value: unknown): void {
    if (this.#step !== "running") return;
    clearTimeout(this.#timer);
    this.#step = "suspended";
    this.#value = value;
    this.#done({ value, bytes: toBytes(value) });
  }

  /** The actor goes on. Tells the reason, and what `suspended` threw, unless the actor was suspended already. */
  end(reason: StayReason, thrown?: { readonly error: unknown }): void {
    const before = this.#step;
    clearTimeout(this.#timer);
    this.#step = "over";
    if (before === "due" || before === "running") this.#done(reason, thrown);
  }
}

function toBytes(value: unknown): Uint8Array | SwitchboardError {
  let bytes: Uint8Array;
  try {
    bytes = serialize(value);
  } catch (cause) {
    const message = "suspended must return plain data, without functions or class instances";
    return new SwitchboardError("ERR_STATE_NOT_CLONEABLE", message, { cause });
  }
  if (bytes.length > MAX_STATE_BYTES) {
    const message = `suspended may return ${MAX_STATE_BYTES} bytes, and returned ${bytes.length}`;
    return new SwitchboardError("ERR_STATE_TOO_LARGE", message);
  }
  try {
    checkPlainData(value, "what suspended returns");
  } catch (error) {
    return error as SwitchboardError;
  }
  return bytes;
}
