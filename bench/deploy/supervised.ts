/** A program under `switchboard run`, and what both print. Used by the deploy demo and the scenario `deploy`. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";

const COMMAND = join(import.meta.dirname, "../../src/cli/main.ts");

/** Time for one replacement, in ms. */
const PATIENCE_MS = 60_000;

export class Supervised {
  readonly #child: ChildProcess;
  #output = "";
  #look: () => void = () => {};

  private constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output += text;
        this.#look();
      });
    }
    child.once("exit", () => this.#look());
  }

  /** @param args file of the program, and its arguments */
  static start(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Supervised {
    const options = { cwd, env: { ...process.env, PWD: cwd, NODE_NO_WARNINGS: "1", ...env } };
    return new Supervised(spawn(process.execPath, [COMMAND, "run", ...args], options));
  }

  get output(): string {
    return this.#output;
  }

  /** Replaces the program by what is on disk now. Resolves when the new process has everything. */
  async replace(): Promise<void> {
    const before = this.#output.length;
    this.#child.kill("SIGHUP");
    const [, failure] = await this.prints(/took over from pid|(goes on|can't be replaced)/, before);
    if (failure !== undefined) throw new Error(`the replacement failed:\n${this.#output}`);
  }

  /** Resolves with the first match in what was printed behind a place. */
  async prints(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    const late = AbortSignal.timeout(PATIENCE_MS);
    for (;;) {
      const match = pattern.exec(this.#output.slice(from));
      if (match !== null) return match;
      if (late.aborted || this.#child.exitCode !== null) throw new Error(`no ${pattern} in:\n${this.#output}`);
      await new Promise<void>((resolve) => {
        this.#look = resolve;
        late.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  }

  /** Ends the program and its supervisor. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const exit = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    await exit;
  }
}
