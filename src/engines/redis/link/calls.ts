/** The calls of scripts over a link: in order, also when Redis hasn't run some for a reason that the link can mend. */
import { noop } from "../../../wire/protocol/empty.ts";
import { failureOf, full, refused, unavailable } from "../failures.ts";
import type { Script } from "../scripts/scripts.ts";
import { STALE } from "../scripts/stream-scripts.ts";
import { type Connection, MISROUTED, type Reply, wasNotRun } from "./connection.ts";

export interface CallOptions {
  /** True for buffers instead of strings in the answer. Default: false. */
  readonly inBuffers?: boolean;
  /** Bytes of memory that the call takes until its answer. Default: 0. */
  readonly bytes?: number;
  /** True if the server has to run the call although its hash slot hasn't moved there yet. Default: false. */
  readonly isAsking?: boolean;
}

interface Call extends Required<CallOptions> {
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args: readonly (string | Buffer)[];
  attempts: number;
  readonly answer: { resolve(reply: Reply): void; reject(error: Error): void };
}

export interface CallsOptions {
  /** The connection for commands, if there is one. */
  readonly connection: () => Connection | undefined;
  /** Identity of its server. */
  readonly identity: () => string;
  /** Why there is no connection. */
  readonly reason: () => string;
  /** Loads the scripts and reads the identity again. */
  readonly mend: (connection: Connection) => Promise<void>;
  /** Called when the server says that another one has a hash slot. */
  readonly misrouted: () => void;
}

/** Times that a call is sent, if Redis hasn't run it. */
const MAX_ATTEMPTS = 3;
/** Number of calls that wait while the link mends itself. */
const MAX_WAITING = 100_000;

export class Calls {
  readonly #options: CallsOptions;
  #isMending = false;
  #inFlight = 0;
  /** Calls that Redis hasn't run, in their order. */
  #failed: Call[] = [];
  /** Calls that came while others had failed. */
  #waiting: Call[] = [];

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Runs a script. Rejects with `ERR_ENGINE_UNAVAILABLE` or `ERR_ENGINE_FULL`. */
  run(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
    { inBuffers = false, bytes = 0, isAsking = false }: CallOptions = {},
  ): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const call = { script, keys, args, inBuffers, bytes, isAsking, attempts: 0, answer: { resolve, reject } };
      if (!this.#isMending) this.#send(call);
      else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(call);
      else reject(full("too many calls wait until Redis has its scripts again: publish more slowly"));
    });
  }

  #send(call: Call): void {
    const { connection: find, identity, reason, misrouted } = this.#options;
    const connection = find();
    if (connection === undefined) {
      call.answer.reject(refused(reason()));
      return;
    }
    call.attempts++;
    this.#inFlight++;
    if (call.isAsking) connection.send(["ASKING"]).catch(noop);
    const args = [String(call.keys.length), ...call.keys, identity(), ...call.args];
    connection.run(call.script, args, call.inBuffers, call.bytes).then(
      (reply) => {
        call.answer.resolve(reply);
        this.#answered();
      },
      (error: unknown) => {
        if (wasNotRun(error, ["NOSCRIPT", STALE]) && call.attempts < MAX_ATTEMPTS) {
          this.#isMending = true;
          this.#failed.push(call);
        } else {
          call.answer.reject(failureOf(error));
          // The server became a replica. Its successor has to be found.
          if (wasNotRun(error, ["READONLY"])) connection.close("the server has become a replica");
          if (wasNotRun(error, MISROUTED)) misrouted();
        }
        this.#answered();
      },
    );
  }

  #answered(): void {
    this.#inFlight--;
    // The calls behind a failed one fail as well: only when all have answered is their order known.
    if (this.#isMending && this.#inFlight === 0) void this.#mend();
  }

  async #mend(): Promise<void> {
    let failure: Error | undefined;
    try {
      const connection = this.#options.connection();
      if (connection === undefined) throw unavailable(this.#options.reason());
      await this.#options.mend(connection);
    } catch (error) {
      failure = failureOf(error);
    }
    const calls = [...this.#failed, ...this.#waiting];
    this.#failed = [];
    this.#waiting = [];
    this.#isMending = false;
    for (const call of calls) {
      if (failure === undefined) this.#send(call);
      else call.answer.reject(failure);
    }
  }
}
