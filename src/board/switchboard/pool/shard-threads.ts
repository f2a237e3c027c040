/**
 * The threads of a board, run by piscina. `ShardPool` starts and ends them. `ShardHandle` and `EngineThread` run their
 * tasks in them.
 */
import { once } from "node:events";
import { existsSync } from "node:fs";
import type { MessagePort, ResourceLimits, Worker } from "node:worker_threads";
import type { Piscina } from "piscina";
import { type ErrorReport, SwitchboardError } from "../../../errors.ts";
import type { EngineTask } from "../../../runtime/engine/messages.ts";
import type { ShardTask } from "../../shard/messages.ts";

/** Type of the transfer list. Piscina infers it from another overload of `postMessage` than the one for ports. */
type TransferList = NonNullable<NonNullable<Parameters<Piscina["run"]>[1]>["transferList"]>;

/**
 * Returns the file that a thread runs: beside the sources, or in the built package. Throws `ERR_BUNDLED` if a bundler
 * has taken this module out of the package without that file.
 */
function findWorker(name: "shard" | "engine"): URL {
  // A bundle in CommonJS has no URL.
  const here: string | undefined = import.meta.url;
  const path = here?.endsWith(".ts") ? `../../../../workers/${name}.ts` : `./workers/${name}.js`;
  const worker = URL.parse(path, here);
  if (worker !== null && existsSync(worker)) return worker;
  const message =
    "switchboard was bundled into this program without the files that its threads run: mark switchboard as external in the bundler (esbuild: --external:switchboard) and install it beside the bundle";
  throw new SwitchboardError("ERR_BUNDLED", message);
}

/**
 * A fixed number of threads, each of which runs one shard, or the engine, at a time. A thread that ends is replaced.
 */
export class ShardThreads {
  readonly #piscina: Piscina<ShardTask | EngineTask, ErrorReport | undefined>;
  /** Exits of the threads that piscina has given up and that haven't ended yet. */
  readonly #exits = new Map<Worker, Promise<void>>();

  /** Starts the threads. Rejects with `ERR_BUNDLED`. */
  static async start(count: number, resourceLimits: ResourceLimits): Promise<ShardThreads> {
    const worker = findWorker("shard");
    // Loaded here, so that actor modules, which import the same package, don't load piscina in every shard.
    const { Piscina } = await import("piscina");
    const piscina = new Piscina<ShardTask | EngineTask, ErrorReport | undefined>({
      filename: worker.href,
      minThreads: count,
      maxThreads: count,
      idleTimeout: Number.POSITIVE_INFINITY,
      // With atomics, a thread without a task sleeps in Atomics.wait; a shard's thread has an event loop to run.
      atomics: "disabled",
      resourceLimits,
    });
    return new ShardThreads(piscina);
  }

  private constructor(piscina: Piscina<ShardTask | EngineTask, ErrorReport | undefined>) {
    this.#piscina = piscina;
    // The task of a thread reports its error.
    piscina.on("error", () => {});
    // Piscina emits this event just before it forgets the thread.
    piscina.on("workerDestroy", () => this.#followExits());
  }

  /**
   * Runs one shard in a free thread. Resolves when the shard has ended. Rejects when its thread ends first, and when
   * the signal is aborted, which ends the thread.
   */
  run(task: ShardTask, ports: MessagePort[], signal: AbortSignal): Promise<ErrorReport | undefined> {
    return this.#piscina.run(task, { transferList: ports as unknown as TransferList, signal });
  }

  /** Runs the engine in a free thread, as `run` does a shard. Rejects with `ERR_BUNDLED`, too. */
  async runEngine(task: EngineTask, ports: MessagePort[], signal: AbortSignal): Promise<ErrorReport | undefined> {
    const filename = findWorker("engine").href;
    return this.#piscina.run(task, { transferList: ports as unknown as TransferList, signal, filename });
  }

  /** Resolves when the thread of this id has ended; at once if there is none. */
  async exited(threadId: number): Promise<void> {
    for (const [worker, exit] of this.#exits) if (worker.threadId === threadId) return exit;
    const worker = this.#piscina.threads.find((one) => one.threadId === threadId);
    if (worker !== undefined) await once(worker, "exit");
  }

  /** Resolves when all threads that were given up so far have ended. */
  async exits(): Promise<void> {
    await Promise.all(this.#exits.values());
  }

  /** Ends all threads. Resolves when each has exited, also those that were ended before. */
  async end(): Promise<void> {
    do {
      await this.#piscina.destroy();
      await Promise.all(this.#exits.values());
      // Piscina replaces a thread that was ended before `destroy` and exits after the others.
    } while (this.#piscina.threads.length > 0);
  }

  #followExits(): void {
    for (const worker of this.#piscina.threads) {
      // Node gives -1 as the id of a thread that has exited.
      if (worker.threadId === -1 || this.#exits.has(worker)) continue;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#exits.set(worker, promise);
      worker.once("exit", () => {
        this.#exits.delete(worker);
        resolve();
      });
    }
  }
}
