/** Programs in processes of their own, with their output. Used by tests of commands and examples. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const projectFolder = fileURLToPath(new URL("../../../", import.meta.url));

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program in a process of its own, with its output. */
export class RunningProgram {
  readonly #child: ChildProcess;
  readonly exit: Promise<Exit>;
  #stdout = "";
  #stderr = "";
  /** True once the program has ended and all of its output is here. */
  #hasClosed = false;
  /** Resolves with the next output, or at the end. */
  #change = Promise.withResolvers<void>();

  /** @param input "pipe" for a program that `write` gives input */
  constructor(
    command: string,
    args: readonly string[],
    { input = "ignore", ...options }: SpawnOptions & { readonly input?: "ignore" | "pipe" } = {},
  ) {
    const child = spawn(command, args, { ...options, stdio: [input, "pipe", "pipe"] });
    this.#child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      this.#wake();
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    this.exit = new Promise((resolve, reject) => {
      const close = (): void => {
        this.#hasClosed = true;
        this.#wake();
      };
      child.once("error", (error) => {
        reject(error);
        close();
      });
      child.once("close", (code, signal) => {
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
        close();
      });
    });
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid as number;
  }

  /** What the program has written to stdout so far. */
  get output(): string {
    return this.#stdout;
  }

  /** What the program has written to stderr so far. */
  get errors(): string {
    return this.#stderr;
  }

  /** Resolves with the first match in the output. Fails if the program ends without one. */
  prints(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#matches(pattern, () => this.#stdout);
  }

  /** As `prints`, for standard error. */
  logs(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#matches(pattern, () => this.#stderr);
  }

  async #matches(pattern: RegExp, output: () => string): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(output());
      if (match !== null) return match;
      if (this.#hasClosed) {
        const { code, stderr } = await this.exit;
        throw new Error(`ended with ${code} before it printed ${pattern}: ${stderr}`);
      }
      await this.#change.promise;
    }
  }

  #wake(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** Forgets the output so far. */
  forget(): void {
    this.#stdout = "";
    this.#stderr = "";
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Ends the program's input. */
  endInput(): void {
    this.#child.stdin?.end();
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Kills the program if it still runs. */
  async destroy(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exit;
  }
}

/** Runs a program to its end. Fails with all of its output if it doesn't succeed. */
export async function run(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Exit> {
  const exit = await new RunningProgram(command, args, options).exit;
  if (exit.code === 0) return exit;
  throw new Error(`${command} ${args.join(" ")} ended with ${exit.code}:\n${exit.stdout}${exit.stderr}`);
}
