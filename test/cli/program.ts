/** The command line as a program of its own. Used by the tests of all commands. */
import { onTestFinished } from "vitest";
import { projectFolder, RunningProgram } from "../e2e/support/process.ts";

// The environment of the tests may force colours (FORCE_COLOR), which overrides NO_COLOR.
const inherited: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: "1" };
delete inherited["FORCE_COLOR"];

export interface ProgramOptions {
  /** Variables beside those of the tests. */
  readonly env?: NodeJS.ProcessEnv;
  /** Folder in which the program runs. Default: that of the project. */
  readonly cwd?: string;
  /** Node that runs the command. Default: that of the tests. */
  readonly node?: string;
  /** "pipe" for a program that the test gives input. Default: none. */
  readonly input?: "ignore" | "pipe";
}

/** Starts `switchboard` with arguments. It ends with the test. */
export function switchboardIn(
  { env, cwd = projectFolder, node = process.execPath, input = "ignore" }: ProgramOptions,
  ...args: string[]
): RunningProgram {
  const program = new RunningProgram(node, [`${projectFolder}src/cli/main.ts`, ...args], {
    cwd,
    input,
    env: { ...inherited, ...env },
  });
  onTestFinished(() => program.destroy());
  return program;
}

export function switchboard(...args: string[]): RunningProgram {
  return switchboardIn({}, ...args);
}
