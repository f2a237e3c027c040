import { once } from "node:events";
import { createInterface } from "node:readline";
import { type Child, spawnOn } from "./server-process.ts";
import type { Counts } from "./statistics.ts";

/** What a load says at the end; see `switchboard bench --json`. */
export interface LoadResult {
  readonly seconds: number;
  readonly perSecond: number;
  readonly messages: { readonly received: number; readonly lost: number; readonly wrong: number };
  readonly connections: { readonly opened: number; readonly failed: number; readonly closed: number };
  readonly latency: { readonly counts: Counts };
  readonly load: { readonly cpuSeconds: number; readonly busy: number; readonly bottleneck: boolean };
  readonly errors: readonly string[];
}

/** Called as the load says so: the counted time begins and ends; so many connections are open. */
export interface LoadEvents {
  start?(): void;
  end?(): void;
  connected?(connections: number): void | Promise<void>;
}

/** A load in a process of its own. */
export class LoadProcess {
  readonly #child: Child;
  #complaint = "";

  constructor(command: readonly string[], core: number | undefined) {
    this.#child = spawnOn(core === undefined ? undefined : [core], command);
    this.#child.stderr.on("data", (chunk) => {
      this.#complaint = (this.#complaint + chunk).slice(-2_000);
    });
  }

  /** Rejects when the load ends without a result, with what it wrote; a result may still be one of a failure. */
  async run(events: LoadEvents): Promise<LoadResult> {
    let result: LoadResult | undefined;
    for await (const line of createInterface({ input: this.#child.stdout })) {
      const message = JSON.parse(line);
      if (message.event === "start") events.start?.();
      else if (message.event === "end") events.end?.();
      else if (message.event === "connected") await events.connected?.(message.connections);
      else if (message.event === "result") result = message;
    }
    if (result === undefined) throw new Error(`the load ended without a result: ${this.#complaint.trim()}`);
    return result;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }
}

/** Why a run doesn't count; undefined when it does. */
export function failureOf({ messages, connections, load, errors }: LoadResult): string | undefined {
  const because = errors.length === 0 ? "" : `: ${errors[0]}`;
  if (messages.wrong > 0) return `${messages.wrong} wrong replies${because}`;
  if (messages.lost > 0) return `${messages.lost} lost messages${because}`;
  if (connections.failed + connections.closed > 0) {
    return `${connections.failed + connections.closed} connections failed or ended${because}`;
  }
  if (load.bottleneck) return "the load was the bottleneck";
  return undefined;
}
