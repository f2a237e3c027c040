/** The machine and the versions that a result was measured with. Stored in each result. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import os from "node:os";

/** The machine, versions and command of a run of the suite. */
export interface Environment {
  /** Start of the run, in ISO 8601. */
  readonly date: string;
  readonly cpu: string;
  /** Numbers of the cores that the suite may use. */
  readonly cores: readonly number[];
  readonly memoryGiB: number;
  readonly kernel: string;
  /** Versions of Node, V8, and each server with a version that was found. */
  readonly versions: Readonly<Record<string, string>>;
  /** Short commit id, followed by `+` if there are uncommitted changes. "unknown" outside a repository. */
  readonly commit: string;
  /** Command line of the suite. */
  readonly command: string;
}

export function readEnvironment(versions: Readonly<Record<string, string>>): Environment {
  return {
    date: new Date().toISOString(),
    cpu: `${os.cpus()[0]?.model.trim() ?? "unknown"}${speed()}`,
    cores: usableCores(),
    memoryGiB: Math.round((os.totalmem() / 1024 ** 3) * 10) / 10,
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    versions: { node: process.versions.node, v8: process.versions.v8, ...versions },
    commit: commit(),
    command: ["npm run bench", ...(process.argv.length > 2 ? ["--", ...process.argv.slice(2)] : [])].join(" "),
  };
}

function speed(): string {
  const mhz = os.cpus()[0]?.speed ?? 0;
  return mhz > 0 ? `, ${(mhz / 1000).toFixed(1)} GHz` : "";
}

/** Lists the cores that this process may run on; all cores if the system doesn't tell. */
export function usableCores(): number[] {
  let list = `0-${os.availableParallelism() - 1}`;
  try {
    list = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? list;
  } catch {
    // Not Linux.
  }
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

function commit(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync("git", args, { cwd: import.meta.dirname, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return git("rev-parse", "--short=12", "HEAD").trim() + (git("status", "--porcelain").trim() === "" ? "" : "+");
  } catch {
    return "unknown";
  }
}
