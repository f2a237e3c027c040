/** A board in a process with few descriptors, and its clients. Used by tests of running out of descriptors. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { EvacuationResult, StartOptions, Stats } from "../../src/index.ts";
import { RunningProgram } from "../e2e/support/process.ts";
import { upgradeRequest } from "./raw-client.ts";

export type Way =
  | "attach"
  | "handleUpgrade"
  | "relay"
  | "https"
  | "http2"
  | "listen main"
  | "listen"
  | "listen tls"
  | "accept shard"
  | "accept shard tls";

export interface LimitedServerOptions {
  readonly way: Way;
  readonly start?: Partial<StartOptions>;
  /** One of `test/support/actors`. Default: `echo`. */
  readonly actor?: string;
  readonly tls?: { readonly key: string; readonly cert: string };
}

export type Evacuated = Pick<EvacuationResult, "moved" | "stayed">;

export type LimitedStory =
  | { readonly event: "listening"; readonly port: number }
  | { readonly event: "handshakeFailed" | "acceptFailed"; readonly code: string }
  | ({ readonly event: "evacuated"; readonly number: number } & Evacuated)
  | { readonly event: "stats"; readonly ready: boolean; readonly stats: Stats };

const program = fileURLToPath(new URL("./programs/limited.ts", import.meta.url));

/** A board in a process with a low limit of open files (`ulimit -n`). Ends with the test. */
export class LimitedServer {
  readonly port: number;
  readonly #running: RunningProgram;
  #asked = 0;
  #evacuations = 0;

  private constructor(port: number, running: RunningProgram) {
    this.port = port;
    this.#running = running;
  }

  static async start(descriptors: number, options: LimitedServerOptions): Promise<LimitedServer> {
    const command = 'ulimit -n "$1"; shift; exec "$@"';
    const args = ["-c", command, "bash", String(descriptors), process.execPath, program, JSON.stringify(options)];
    const running = new RunningProgram("bash", args);
    onTestFinished(() => running.destroy());
    const [, port] = await running.prints(/"listening","port":(\d+)/);
    return new LimitedServer(Number(port), running);
  }

  /** Number of descriptors that the process has open. */
  get descriptors(): number {
    return readdirSync(`/proc/${this.#running.pid}/fd`).length;
  }

  /** Sets the limit of open files of the running process. Default: it may open no more. */
  limit(descriptors = this.#lowestFree()): void {
    execFileSync("prlimit", ["--pid", String(this.#running.pid), `--nofile=${descriptors}:`]);
  }

  /** The system gives the lowest number that is free. */
  #lowestFree(): number {
    const open = new Set(readdirSync(`/proc/${this.#running.pid}/fd`).map(Number));
    let lowest = 0;
    while (open.has(lowest)) lowest++;
    return lowest;
  }

  /** Resolves with the name and the code of the first event that tells of a failure. */
  async tellsFailure(): Promise<string> {
    const [, event, code] = await this.#running.prints(/"event":"(handshakeFailed|acceptFailed)","code":"(.*?)"/);
    return `${event} ${code}`;
  }

  /** Moves all connections out of a shard: out of shard 0 at first, then out of shard 1. */
  async evacuate(): Promise<Evacuated> {
    this.#running.kill("SIGHUP");
    const number = ++this.#evacuations;
    const [, story = ""] = await this.#running.prints(
      new RegExp(`^(\\{"event":"evacuated","number":${number},.*)\n`, "m"),
    );
    const { moved, stayed } = JSON.parse(story);
    return { moved, stayed };
  }

  async stats(): Promise<{ readonly ready: boolean; readonly stats: Stats }> {
    this.#running.kill("SIGUSR2");
    const [, story = ""] = await this.#running.prints(
      new RegExp(`(?:^\\{"event":"stats".*\\n[^]*?){${this.#asked++}}^(\\{"event":"stats".*)\\n`, "m"),
    );
    return JSON.parse(story);
  }
}

/** Outcome of an upgrade for its client. */
export type ClientOutcome = 101 | 503 | "closed" | "hangs";

/** A client that requests a WebSocket and waits for the outcome. */
export interface AskingClient {
  readonly socket: Socket;
  readonly outcome: ClientOutcome;
}

/**
 * Requests a WebSocket over TCP or TLS.
 *
 * @param patienceMs time after which a client without any answer counts as hanging
 */
export async function askForWebSocket(port: number, tls: boolean, patienceMs: number): Promise<AskingClient> {
  const where = { port, host: "127.0.0.1" };
  const socket = tls ? connectTls({ ...where, rejectUnauthorized: false }) : connectTcp(where);
  socket.on("error", () => {});
  socket.write(upgradeRequest());
  const outcome = await new Promise<ClientOutcome>((resolve) => {
    const timer = setTimeout(resolve, patienceMs, "hangs");
    socket.once("data", (head) => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(String(head))?.[1]) as ClientOutcome));
    socket.once("close", () => {
      clearTimeout(timer);
      resolve("closed");
    });
  });
  return { socket, outcome };
}
