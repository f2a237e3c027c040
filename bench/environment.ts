import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import os from "node:os";

/** Where and with what a result was measured. */
export interface Environment {
  /** ISO 8601. */
  readonly date: string;
  readonly cpu: string;
  /** The ones that this process may use. */
  readonly cores: readonly number[];
  readonly memoryGiB: number;
  readonly kernel: string;
  /** Of Node, V8, and each server that took part. */
  readonly versions: Readonly<Record<string, string>>;
  /** With `+` when there are changes that aren't committed; "unknown" outside a repository. */
  readonly commit: string;
  /** How the runner was called. */
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

/** Cores that this process is allowed to run on; all where the system doesn't say. */
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
