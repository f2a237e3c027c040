/** The process of the server under attack, seen from outside. Used by the fault report and the attack tests. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { ProcessMemory } from "../support/process-memory.ts";

/** The counts that the target reports. */
export interface TargetCounts {
  readonly connections: number;
  /** True when all shards take connections. */
  readonly ready: boolean;
  /** Number of times that each event of the board was emitted. */
  readonly events: Readonly<Record<string, number>>;
}

/** The ports of the target. */
export interface TargetPorts {
  readonly port: number;
  readonly http2Port: number;
}

/** What went wrong when the target ended; empty if nothing did. */
export type Ending = readonly string[];

const MAY_TAKE_TO_END_MS = 15_000;

/** The server under attack, with the kernel's figures of its process (Linux). */
export class TargetProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown>;
  readonly ports: TargetPorts;
  readonly memory: ProcessMemory;
  #stderr = "";

  private constructor(child: ChildProcess, ports: TargetPorts) {
    this.#child = child;
    this.#exit = once(child, "exit");
    this.ports = ports;
    this.memory = new ProcessMemory(child.pid as number); // defined: the process has sent its ports
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
  }

  static async start(): Promise<TargetProcess> {
    const child = fork(new URL("./target.ts", import.meta.url), {
      execArgv: [],
      stdio: ["ignore", "inherit", "pipe", "ipc"],
    });
    const [ports] = (await once(child, "message")) as [TargetPorts];
    return new TargetProcess(child, ports);
  }

  get port(): number {
    return this.ports.port;
  }

  async counts(): Promise<TargetCounts> {
    const answer = once(this.#child, "message");
    this.#child.send("counts");
    const [counts] = (await Promise.race([answer, this.#exit.then(() => [undefined])])) as [TargetCounts | undefined];
    if (counts === undefined) throw new Error(`the server ended: ${this.#stderr}`);
    return counts;
  }

  get descriptors(): number {
    return readdirSync(`/proc/${this.#child.pid}/fd`).length;
  }

  /** Closes the server. Returns what went wrong. */
  async close(): Promise<Ending> {
    const wrong: string[] = [];
    if (this.#child.connected) this.#child.send("close");
    const timer = setTimeout(() => {
      wrong.push("it didn't end by itself");
      this.#child.kill("SIGKILL");
    }, MAY_TAKE_TO_END_MS);
    await this.#exit;
    clearTimeout(timer);
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== 0) wrong.push(`it ended with ${exitCode ?? signalCode}`);
    if (this.#stderr !== "") wrong.push(`it complained: ${this.#stderr.trim()}`);
    return wrong;
  }
}
