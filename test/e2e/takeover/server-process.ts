/** Processes of `programs/server.ts`, and the folder of their takeover socket. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, vi } from "vitest";
import { actorUrl } from "../../support/actor-url.ts";
import { RunningProgram } from "../support/process.ts";
import type { ServerOptions } from "./programs/server.ts";

let aliases = 0;

const program = fileURLToPath(new URL("programs/server.ts", import.meta.url));

/** What the program prints. */
export interface ServerStories {
  readonly listening: { readonly ports: readonly number[] };
  readonly takenOver: {
    readonly connections: number;
    readonly predecessorDied: boolean;
    readonly unclaimed: readonly string[];
    readonly ms: number;
  };
  readonly handedOver: { readonly connections: number; readonly ms: number; readonly pauseMs: number };
  readonly successorFailed: {
    readonly code: string;
    readonly message: string;
    readonly wasRefused: boolean;
    readonly lost: number;
  };
  readonly moveFailed: { readonly reason: string; readonly message: string };
  readonly moveRefused: { readonly code: string };
  readonly reloadFailed: { readonly code: string; readonly message: string };
  readonly took: { readonly ids: readonly number[] };
  readonly programStateLeft: { readonly message: string };
  readonly takeoverFailed: { readonly message: string };
  readonly refused: { readonly code: string; readonly message: string };
  readonly asked: object;
  readonly failing: object;
  readonly greets: object;
  readonly ended: { readonly ticks: number };
  readonly closed: { readonly closed: number; readonly dropped: number };
}

export class ServerProcess {
  readonly program: RunningProgram;

  /**
   * `start.actor` is the name of a module of `test/support/actors`.
   *
   * @param openFiles limit of open files
   */
  constructor(
    { start, ...options }: ServerOptions,
    env: Readonly<Record<string, string>> = {},
    openFiles: number | undefined = undefined,
  ) {
    const all = { ...options, start: { ...start, actor: String(actorUrl(start.actor)) } };
    const command = [process.execPath, program, JSON.stringify(all)];
    const limited = `ulimit -Sn ${openFiles} -Hn ${openFiles}; exec "$0" "$@"`;
    const [first = "", ...rest] = openFiles === undefined ? command : ["bash", "-c", limited, ...command];
    this.program = new RunningProgram(first, rest, { env: { ...process.env, ...env } });
    onTestFinished(() => this.program.destroy());
  }

  /** Forgets what the program has told so far. */
  forget(): void {
    this.program.forget();
  }

  async tells<Event extends keyof ServerStories>(event: Event): Promise<ServerStories[Event]> {
    const [, story = ""] = await this.program.prints(new RegExp(`^(\\{"event":"${event}".*)\\n`, "m"));
    return JSON.parse(story);
  }

  /** Resolves with everything of this kind that the program has told, once there are so many. */
  async tellsAll<Event extends keyof ServerStories>(event: Event, count: number): Promise<ServerStories[Event][]> {
    const line = `\\{"event":"${event}".*\\n`;
    const [stories] = await this.program.prints(new RegExp(`(?:^(?:${line})(?:[^]*?)){${count}}`, "m"));
    return stories.match(new RegExp(`^${line}`, "gm"))?.map((story) => JSON.parse(story)) ?? [];
  }

  /** Resolves when the program has stopped itself (SIGSTOP). */
  async stands(): Promise<void> {
    await this.tells("failing");
    await vi.waitFor(() => {
      expect(readFileSync(`/proc/${this.program.pid}/stat`, "latin1")).toMatch(/\) T /);
    });
  }

  /** Names of the events that the program has told so far, in order. */
  get told(): string[] {
    return Array.from(this.program.output.matchAll(/^\{"event":"(\w+)"/gm), ([, event = ""]) => event);
  }

  async end(): Promise<{ readonly code: number | null; readonly signal: string | null; readonly stderr: string }> {
    const { code, signal, stderr } = await this.program.exit;
    return { code, signal, stderr };
  }
}

/** Returns the path of a takeover socket in a folder of its own. */
export function takeoverPath(): string {
  const folder = mkdtempSync(join(tmpdir(), "takeover-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, "socket");
}

/** Another name of the same path: two boards of one process can't wait at one name. Gone after the test. */
export function aliasOf(path: string): string {
  const folder = `${dirname(path)}.${aliases++}`;
  symlinkSync(dirname(path), folder);
  onTestFinished(() => rmSync(folder, { force: true }));
  return join(folder, basename(path));
}
