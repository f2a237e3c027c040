/**
 * Descriptors, mapped memory and the ring that a thread owns past Node, as the main thread sees them. The main thread
 * has one `UringEstate` for each shard with io_uring.
 */
import { createEstateMemory, hangUp, seal, settle } from "../../native/ring.ts";

/** Milliseconds that a thread has to end before its connections are shut down under it. */
const EXIT_MS = 500;

export class UringEstate {
  /** Memory for `UringSockets`, in the thread. */
  readonly memory = createEstateMemory();

  /**
   * Closes what the thread has left behind: peers see the end of their connections, and ports are free. Resolves when
   * that is done, or after 500 ms if the thread, though it is told to end, still runs: its connections are then shut
   * down, and the rest follows with its end. Call it once, when the task of the thread has ended.
   *
   * @param exited resolves when the thread of this id has ended
   */
  async settle(exited: (threadId: number) => Promise<void>): Promise<void> {
    const thread = seal(this.memory);
    const ended = thread === 0 ? Promise.resolve() : exited(thread);
    const settled = ended.then(() => settle(this.memory));
    const timer = Promise.withResolvers<void>();
    const timeout = setTimeout(timer.resolve, EXIT_MS);
    await Promise.race([settled, timer.promise.then(() => hangUp(this.memory))]);
    clearTimeout(timeout);
  }
}
