/** Calls between `bench/redis.ts` and its processes. */
import { type ChildProcess, fork } from "node:child_process";

interface Call {
  readonly serial: number;
  readonly name: string;
  readonly argument: unknown;
}

type FromChild =
  | { readonly serial: number; readonly result?: unknown; readonly error?: string }
  | { readonly received: readonly number[] };

/** What a process can be asked to do, by name. */
export type Handlers = Readonly<Record<string, (argument: never) => unknown>>;

/** Answers the calls of the parent. `cpu` is answered with the CPU time of the process in µs. */
export function answerCalls(handlers: Handlers): void {
  const all: Handlers = { ...handlers, cpu: cpuMicros };
  process.on("message", async ({ serial, name, argument }: Call) => {
    try {
      process.send?.({ serial, result: await all[name]?.(argument as never) });
    } catch (error) {
      process.send?.({ serial, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.on("disconnect", () => process.exit());
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Time between two reports of what was received, in ms. */
const REPORT_MS = 5;

/** Tells the parent the numbers of received messages, whenever they have changed. */
export function reportReceived(numbers: readonly number[]): void {
  let before = "";
  setInterval(() => {
    const now = numbers.join();
    if (now === before) return;
    before = now;
    process.send?.({ received: numbers });
  }, REPORT_MS);
}

/** A process that this one has started. */
export class Peer {
  /** Called with the numbers of messages that the process has received. */
  received: (numbers: readonly number[]) => void = () => undefined;
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #serial = 0;

  /** @param file name of a file of this folder */
  constructor(file: string, args: readonly string[] = []) {
    this.#process = fork(new URL(file, import.meta.url), args);
    this.#process.on("message", (message: FromChild) => {
      if ("received" in message) {
        this.received(message.received);
        return;
      }
      const pending = this.#pending.get(message.serial);
      this.#pending.delete(message.serial);
      if (message.error === undefined) pending?.resolve(message.result);
      else pending?.reject(new Error(message.error));
    });
    this.#process.on("exit", (code) => {
      for (const { reject } of this.#pending.values()) reject(new Error(`${file} ended with ${code}`));
    });
  }

  call<Result = void>(name: string, argument?: unknown): Promise<Result> {
    const pending = Promise.withResolvers<unknown>();
    this.#pending.set(++this.#serial, pending);
    this.#process.send({ serial: this.#serial, name, argument });
    return pending.promise as Promise<Result>;
  }

  /** Passes the number of messages on that all subscribers have received. */
  tellReceived(count: number): void {
    void this.call("received", count);
  }

  stop(): void {
    this.#process.kill();
  }
}
