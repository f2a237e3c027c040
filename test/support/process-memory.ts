/** Resident memory of another process. Used by tests of memory. */
import { readFileSync, writeFileSync } from "node:fs";

/** The kernel's figures of a process's resident memory (Linux). */
export class ProcessMemory {
  readonly #pid: number;

  constructor(pid: number) {
    this.#pid = pid;
  }

  get bytes(): number {
    return this.#read("VmRSS");
  }

  /** Peak since the start, or since `forgetPeak`, in bytes. */
  get peakBytes(): number {
    return this.#read("VmHWM");
  }

  forgetPeak(): void {
    writeFileSync(`/proc/${this.#pid}/clear_refs`, "5");
  }

  #read(name: "VmRSS" | "VmHWM"): number {
    const status = readFileSync(`/proc/${this.#pid}/status`, "utf8");
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
  }
}
