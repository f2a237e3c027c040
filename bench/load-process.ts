/** A load in a process of its own, and what the load reports. Used by `measure.ts` and `slices.ts`. */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { type Child, spawnOn } from "./server-process.ts";
import type { Counts } from "./statistics.ts";

/** Last line of a load, or the line of a slice: the result, as `switchboard bench --json` prints it. */
export interface LoadResult {
  readonly seconds: number;
  readonly perSecond: number;
  readonly messages: { readonly received: number; readonly lost: number; readonly wrong: number };
  readonly connections: { readonly opened: number; readonly failed: number; readonly closed: number };
  readonly latency: { readonly counts: Counts };
  readonly load: { readonly cpuSeconds: number; readonly busy: number; readonly bottleneck: boolean };
  readonly errors: readonly string[];
}

/** Callbacks for the lines that a load prints while it runs. */
export interface LoadEvents {
  /** The counted time begins. */
  start?(): void;
  /** The counted time ends. */
  end?(): void;
  /** This number of connections is open: the end of a step of the idle scenario. */
  connected?(connections: number): void | Promise<void>;
  /** The streams of the server keep this number of publications: the end of a step of the memory scenario. */
  stored?(publications: number): void | Promise<void>;
}

/** The common part of both kinds of loads. */
class Load {
  protected readonly child: Child;
  protected errorOutput = "";

  constructor(command: readonly string[], core: number | undefined, stdin: "ignore" | "pipe") {
    this.child = spawnOn(core === undefined ? undefined : [core], command, { stdin });
    this.child.stderr.on("data", (chunk) => {
      this.errorOutput = (this.errorOutput + chunk).slice(-2_000);
    });
  }

  /** Kills the load, unless it has ended. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await exited;
  }
}

/** A load that counts once, and ends. */
export class LoadProcess extends Load {
  constructor(command: readonly string[], core: number | undefined) {
    super(command, core, "ignore");
  }

  /**
   * Follows the load to its end and returns its result, which may report failures: see `failureOf`. Rejects, with the
   * end of the load's stderr, if the load ends without a result.
   */
  async run(events: LoadEvents): Promise<LoadResult> {
    let result: LoadResult | undefined;
    for await (const line of createInterface({ input: this.child.stdout })) {
      const message = JSON.parse(line);
      if (message.event === "start") events.start?.();
      else if (message.event === "end") events.end?.();
      else if (message.event === "connected") await events.connected?.(message.connections);
      else if (message.event === "stored") await events.stored?.(message.publications);
      else if (message.event === "result") result = message;
    }
    if (result === undefined) throw new Error(`the load ended without a result: ${this.errorOutput.trim()}`);
    return result;
  }
}

/** A load that counts in slices: `switchboard bench --slices`. */
export class SlicedLoad extends Load {
  readonly #lines: NodeJS.AsyncIterator<string>;

  constructor(command: readonly string[], core: number | undefined) {
    super(command, core, "pipe");
    // A load that has ended reports that on its output.
    this.child.stdin?.on("error", () => {});
    this.#lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  /**
   * Makes one slice. Resolves when all replies have arrived, with the result, which may report failures: see
   * `failureOf`. Rejects, with the end of the load's stderr, if the load ends first.
   */
  async slice(seconds: number): Promise<LoadResult> {
    this.child.stdin?.write("go\n");
    await this.#until("start");
    await delay(seconds * 1000);
    this.child.stdin?.write("stop\n");
    return this.#until("slice");
  }

  async #until(event: "start" | "slice"): Promise<LoadResult> {
    for (;;) {
      const { done, value } = await this.#lines.next();
      const message = done === true ? undefined : JSON.parse(value);
      if (message?.event === event) return message;
      if (message !== undefined && message.event !== "result") continue;
      throw new Error((message && failureOf(message)) ?? `the load ended: ${this.errorOutput.trim()}`);
    }
  }
}

/** Returns the reason why a run doesn't count. undefined: the run counts. */
export function failureOf({ messages, connections, load, errors }: LoadResult): string | undefined {
  const firstError = errors.length === 0 ? "" : `: ${errors[0]}`;
  if (messages.wrong > 0) return `${messages.wrong} wrong replies${firstError}`;
  if (messages.lost > 0) return `${messages.lost} lost messages${firstError}`;
  if (connections.failed + connections.closed > 0) {
    return `${connections.failed + connections.closed} connections failed or ended${firstError}`;
  }
  if (load.bottleneck) return "the load was the bottleneck";
  return undefined;
}
