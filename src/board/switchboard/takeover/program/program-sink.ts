/** Takes the state of the old main program, for `take` of the option `takeover`. `BoardSink` has one. */
import { deserialize } from "node:v8";
import { SwitchboardError } from "../../../../errors.ts";
import type { TakeoverSettings } from "../../options/takeover-options.ts";
import { MAX_PROGRAM_BYTES, TAKE_LIMIT_MS } from "../limits.ts";
import { callInTime } from "./in-time.ts";

export class ProgramSink {
  readonly #take: TakeoverSettings["take"];
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(take: TakeoverSettings["take"]) {
    this.#take = take;
  }

  /** True if the main program takes something. */
  get isNeeded(): boolean {
    return this.#take !== undefined;
  }

  /** Keeps a piece. Rejects if there are more bytes than a process gives. */
  async add(piece: Uint8Array): Promise<void> {
    this.#bytes += piece.length;
    if (this.#bytes > MAX_PROGRAM_BYTES) {
      throw new SwitchboardError("ERR_TAKEOVER_LOST", "the old process sent too much of its main program");
    }
    this.#pieces.push(piece);
  }

  /**
   * All pieces are here. Resolves when the main program has taken them. Rejects with the error of the main program, and
   * with `ERR_TAKEOVER_TIMEOUT`: then the takeover fails, and everything goes on in the old process.
   */
  async complete(): Promise<void> {
    const bytes = Buffer.concat(this.#pieces);
    this.#pieces = [];
    await callInTime("take", () => this.#take?.(deserialize(bytes)), TAKE_LIMIT_MS);
  }
}
