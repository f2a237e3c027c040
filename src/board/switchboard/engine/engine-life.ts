/** One life of the engine thread as the main thread sees it. `EngineThread` has one after the other. */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { type ErrorReport, reportError, reviveOurError, SwitchboardError } from "../../../errors.ts";
import type { EngineOrder, EngineReport, EngineTask } from "../../../runtime/engine/messages.ts";
import { queuedMessages } from "../../../wire/transport/queued-messages.ts";
import { exitCodeOf } from "../pool/shard-loss.ts";
import type { ShardThreads } from "../pool/shard-threads.ts";
import { Watchdog } from "../pool/watchdog.ts";

/** Times that an engine thread has, in milliseconds. 0: no limit. */
export interface EngineTimeouts {
  /** Time to start. */
  readonly startTimeoutMs: number;
  /** Time for which the event loop may be blocked: `shardTimeoutMs` of the board. */
  readonly blockedTimeoutMs: number;
}

export class EngineLife {
  readonly #control: MessagePort;
  readonly #abort = new AbortController();
  readonly #ready = Promise.withResolvers<EngineReport>();
  readonly #watchdog: Watchdog | undefined;
  #isStopping = false;
  #hasEnded = false;
  /** Resolves when the thread has ended or is free again; with the error if the end was not asked for. */
  readonly ended: Promise<Error | undefined>;

  constructor(
    threads: ShardThreads,
    task: Omit<EngineTask, "control" | "pulse">,
    { startTimeoutMs, blockedTimeoutMs }: EngineTimeouts,
  ) {
    const { port1, port2 } = new MessageChannel();
    this.#control = port1;
    port1.on("message", (report: EngineReport) => {
      this.#watchdog?.started();
      this.#ready.resolve(report);
    });
    this.#ready.promise.catch(() => {});
    const timer =
      startTimeoutMs > 0 ? setTimeout(() => this.#abort.abort(slowStart(startTimeoutMs)), startTimeoutMs) : 0;
    void this.#ready.promise.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    );
    if (blockedTimeoutMs > 0) {
      const silent = (): void => this.#abort.abort(blocked(blockedTimeoutMs));
      this.#watchdog = new Watchdog({ timeoutMs: blockedTimeoutMs, silent });
    }
    const pulse = this.#watchdog?.pulse.source;
    this.ended = this.#run(threads.runEngine({ ...task, pulse, control: port2 }, [port2], this.#abort.signal));
  }

  /** Resolves when the engine works. Rejects with the reason if the engine can't start. */
  get ready(): Promise<EngineReport> {
    return this.#ready.promise;
  }

  /** Gives the engine a client's port. The port is closed if the thread has ended or ends first. */
  addClient(port: MessagePort, isMain: boolean): void {
    if (this.#hasEnded) port.close();
    else this.#order({ kind: "client", port, isMain }, [port]);
  }

  /**
   * Stops the engine in order, then its thread.
   *
   * @param graceMs milliseconds that the engine has to stop; the thread is ended then
   */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    if (!this.#hasEnded) this.#order({ kind: "stop" });
    const timer = setTimeout(() => this.terminate(), graceMs);
    await this.ended;
    clearTimeout(timer);
  }

  /** Ends the thread at once. */
  terminate(): void {
    this.#abort.abort(lost("the engine thread was ended"));
  }

  #order(order: EngineOrder, transfer: MessagePort[] = []): void {
    this.#control.postMessage(order, transfer);
  }

  async #run(task: Promise<ErrorReport | undefined>): Promise<Error | undefined> {
    const error = await task.then(explainReturn, (thrown) =>
      this.#abort.signal.aborted ? this.#abort.signal.reason : explainRejection(thrown),
    );
    this.#hasEnded = true;
    this.#watchdog?.stop();
    for (const report of queuedMessages<EngineReport>(this.#control)) this.#ready.resolve(report);
    this.#control.close();
    this.#ready.reject(error);
    return this.#isStopping ? undefined : error;
  }
}

function explainReturn(failure: ErrorReport | undefined): Error {
  return failure ? reviveOurError(failure) : lost("the engine thread ended");
}

function explainRejection(thrown: unknown): Error {
  const error = thrown instanceof Error ? thrown : reviveOurError(reportError(thrown));
  const code = exitCodeOf(error);
  return code === undefined ? error : lost(`the engine thread exited with code ${code}`);
}

function slowStart(startTimeoutMs: number): SwitchboardError {
  const message = `the engine didn't work within startTimeoutMs (${startTimeoutMs} ms): does a top-level await of its module never end?`;
  return new SwitchboardError("ERR_START_TIMEOUT", message);
}

function blocked(timeoutMs: number): SwitchboardError {
  return lost(`the event loop of the engine thread stood still for longer than shardTimeoutMs (${timeoutMs} ms)`);
}

function lost(message: string): SwitchboardError {
  return new SwitchboardError("ERR_ENGINE_UNAVAILABLE", message);
}
