/** Wakes this thread's event loop by an eventfd, without a handle in the loop. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { bind, type CFunction, eventLoopAddress } from "./libc.ts";

const BACKEND = { return: "int32", arguments: ["pointer"] } as const;
const CONTROL = { return: "int32", arguments: ["int32", "int32", "int32", "pointer"] } as const;

const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EPOLLET = 2 ** 31;

/**
 * Adds an eventfd to the epoll set of libuv's loop, behind libuv's back. libuv looks an event up by the number in the
 * event's data, and here that is the number of the loop's own eventfd, with which other threads wake the loop. libuv
 * then reads that eventfd, finds nothing, and goes on with the turn: immediates run. So the loop sleeps, wakes and
 * counts its idle time as always. A handle of libuv would do the same, but a worker that is terminated with a handle
 * that is not Node's aborts the process.
 */
export class LoopAlarm {
  readonly #descriptor: number;
  readonly #control: CFunction<typeof CONTROL>;
  readonly #epoll: number;
  readonly #event = Buffer.alloc(16);
  #added = false;

  /** @param descriptor an eventfd, which nobody needs to read: each signal wakes the loop once */
  constructor(descriptor: number) {
    this.#descriptor = descriptor;
    this.#control = bind("epoll_ctl", CONTROL);
    this.#epoll = bind("uv_backend_fd", BACKEND)(eventLoopAddress());
  }

  /** Begins to watch. Returns false if this can't be arranged now: the loop hasn't begun to turn. */
  watch(): boolean {
    if (this.#added) return true;
    if (!this.#prepare()) return false;
    this.#added = this.#control(this.#epoll, EPOLL_CTL_ADD, this.#descriptor, this.#event) === 0;
    return this.#added;
  }

  /** Call it before the descriptor is closed. */
  close(): void {
    if (this.#added) this.#control(this.#epoll, EPOLL_CTL_DEL, this.#descriptor, this.#event);
    this.#added = false;
  }

  #prepare(): boolean {
    const wakeup = wakeupOf(this.#epoll);
    if (wakeup === undefined) return false;
    // `struct epoll_event` has no padding on x86-64, and 4 bytes behind the first field elsewhere.
    const dataAt = process.arch === "x64" ? 4 : 8;
    this.#event.writeUInt32LE(EPOLLIN + EPOLLET, 0);
    this.#event.writeInt32LE(wakeup, dataAt);
    return true;
  }
}

/**
 * Returns the eventfd of a loop, by its epoll descriptor; undefined before the loop's first turn. The eventfd is
 * created with the loop, so others in the set have higher numbers.
 */
function wakeupOf(epoll: number): number | undefined {
  const set = readFileSync(`/proc/self/fdinfo/${epoll}`, "latin1");
  const members = Array.from(set.matchAll(/^tfd:\s*(\d+)/gm), ([, descriptor]) => Number(descriptor));
  return members.toSorted((a, b) => a - b).find((one) => readlinkSync(`/proc/self/fd/${one}`).endsWith("[eventfd]"));
}

/** Returns why the loop's descriptors can't be found here, as a part of a sentence; undefined if they can. */
export function whyNoAlarm(): string | undefined {
  try {
    for (const folder of ["/proc/self/fdinfo", "/proc/self/fd"]) readdirSync(folder);
    return undefined;
  } catch (error) {
    return `/proc/self can't be read (with --permission, add --allow-fs-read=/proc/): ${(error as Error).message}`;
  }
}
