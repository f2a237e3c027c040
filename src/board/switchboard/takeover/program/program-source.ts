/**
 * Gives the state of the main program, which `give` of the option `takeover` returns, to the new process. `BoardSource`
 * has one.
 */
import { serialize } from "node:v8";
import { SwitchboardError } from "../../../../errors.ts";
import { checkPlainData } from "../../../../runtime/actor/moving/plain-data.ts";
import type { OtherProcess } from "../../../takeover/messages.ts";
import type { TakeoverSettings } from "../../options/takeover-options.ts";
import { GIVE_LIMIT_MS, MAX_PROGRAM_BYTES, PROGRAM_PIECE_BYTES } from "../limits.ts";
import type { BoardLuggage } from "../luggage.ts";
import { callInTime } from "./in-time.ts";

export interface ProgramSourceOwner {
  readonly give: TakeoverSettings["give"];
  /** The takeover goes on without, because of this error. */
  left(error: Error): void;
}

export class ProgramSource {
  readonly #owner: ProgramSourceOwner;
  /** The state as `v8.serialize` writes it; undefined if nothing goes. Never rejects. */
  #given: Promise<Uint8Array | undefined> = Promise.resolve(undefined);

  constructor(owner: ProgramSourceOwner) {
    this.#owner = owner;
  }

  /** Calls `give` within this call, unless the other process takes nothing. */
  begin(other: OtherProcess): void {
    this.#given = other.takesProgramState ? this.#give() : Promise.resolve(undefined);
  }

  /** Gives what has come of `give`. */
  async *rest(): AsyncGenerator<BoardLuggage> {
    const bytes = await this.#given;
    this.#given = Promise.resolve(undefined);
    if (bytes === undefined) return;
    for (let at = 0; at < bytes.length; at += PROGRAM_PIECE_BYTES) {
      yield { kind: "program", piece: bytes.subarray(at, at + PROGRAM_PIECE_BYTES) };
    }
    yield { kind: "programComplete" };
  }

  async #give(): Promise<Uint8Array | undefined> {
    const { give, left } = this.#owner;
    if (give === undefined) return undefined;
    try {
      const value = await callInTime("give", give, GIVE_LIMIT_MS);
      return value === undefined ? undefined : toBytes(value);
    } catch (error) {
      left(error as Error);
      return undefined;
    }
  }
}

function toBytes(value: unknown): Uint8Array {
  const bytes = tryToSerialize(value);
  if (bytes.length > MAX_PROGRAM_BYTES) {
    const message = `give of the option takeover may return ${MAX_PROGRAM_BYTES} bytes, and returned ${bytes.length}`;
    throw new SwitchboardError("ERR_STATE_TOO_LARGE", message);
  }
  checkPlainData(value, "what give of the option takeover returns");
  return bytes;
}

function tryToSerialize(value: unknown): Uint8Array {
  try {
    return serialize(value);
  } catch (cause) {
    const message = "give of the option takeover must return plain data, without functions or class instances";
    throw new SwitchboardError("ERR_STATE_NOT_CLONEABLE", message, { cause });
  }
}
