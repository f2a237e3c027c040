/** A board in a process of its own. Used by tests of signals, shutdown and memory. */
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type {
  CloseOnSignalsOptions,
  CloseOptions,
  ShardLossReason,
  ShutdownCounts,
  StartOptions,
  Stats,
} from "../../src/index.ts";
import { RunningProgram } from "../e2e/support/process.ts";

export interface ServerOptions {
  /** One of `test/support/actors`. */
  readonly actor: string;
  readonly start?: Partial<StartOptions>;
  /** Signals on which the board closes. Default: none; signals then end the process as usual. */
  readonly closeOnSignals?: CloseOnSignalsOptions;
  /** Options for `board.close` on SIGUSR2. */
  readonly close?: CloseOptions;
  /** Path of the board, with parameters. Default: every path. */
  readonly path?: string;
  /** True to also listen on a port of the board's own. */
  readonly ownPort?: boolean;
}

/** The lines that `programs/server.ts` prints. */
export type ServerStory =
  | { readonly event: "listening"; readonly port: number }
  | {
      readonly event: "shardLost" | "shardFailed";
      readonly shard: number;
      readonly reason: ShardLossReason;
      readonly connections: number;
      readonly error: { readonly name: string; readonly message: string; readonly code: unknown };
    }
  | { readonly event: "closing" }
  | ({ readonly event: "closed" } & ShutdownCounts)
  | { readonly event: "shardReplaced"; readonly shard: number }
  | { readonly event: "handshakeFailed"; readonly error: { readonly message: string } };

type StoryOf<Event extends ServerStory["event"]> = Extract<ServerStory, { readonly event: Event }>;

const program = fileURLToPath(new URL("./programs/server.ts", import.meta.url));

/** A board in a process of its own, for tests that may crash the process. Ends with the test. */
export class ServerProcess {
  readonly port: number;
  readonly program: RunningProgram;

  private constructor(port: number, running: RunningProgram) {
    this.port = port;
    this.program = running;
  }

  static async start(options: ServerOptions): Promise<ServerProcess> {
    const running = new RunningProgram(process.execPath, [program, JSON.stringify(options)]);
    onTestFinished(() => running.destroy());
    const [, port] = await running.prints(/"listening","port":(\d+)/);
    return new ServerProcess(Number(port), running);
  }

  /** The first event of this name, or the one after `after` others of that name. */
  async tells<Event extends ServerStory["event"]>(event: Event, after = 0): Promise<StoryOf<Event>> {
    const [, story = ""] = await this.program.prints(
      new RegExp(`(?:^\\{"event":"${event}".*\\n[^]*?){${after}}^(\\{"event":"${event}".*)\\n`, "m"),
    );
    return JSON.parse(story);
  }

  async stats(): Promise<Stats & { readonly ready: boolean }> {
    return (await fetch(`http://127.0.0.1:${this.port}/`)).json() as Promise<Stats & { readonly ready: boolean }>;
  }
}
