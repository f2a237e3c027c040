/** The leaves whose grace time isn't over. `MemoryPresence` adds them and takes out the ones that are due. */
import type { Member } from "../engine.ts";

/** A connection that has left a topic, and whose leave isn't reported yet. */
export interface Leave {
  readonly topic: string;
  readonly member: Member;
  readonly graceMs: number;
  readonly dueMs: number;
}

/**
 * One queue for each grace time, of which there are as many as the rules of topics name: in a queue the first leave is
 * the first that is due, so no leave needs a timer.
 */
export class LeaveQueue {
  readonly #queues = new Map<number, Set<Leave>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(topic: string, member: Member, graceMs: number, nowMs: number): Leave {
    const leave = { topic, member, graceMs, dueMs: nowMs + graceMs };
    const queue = this.#queues.get(graceMs);
    if (queue === undefined) this.#queues.set(graceMs, new Set([leave]));
    else queue.add(leave);
    this.#size++;
    return leave;
  }

  /** Takes a leave out before it is due. */
  cancel(leave: Leave): void {
    const queue = this.#queues.get(leave.graceMs);
    if (queue === undefined || !queue.delete(leave)) return;
    this.#size--;
    if (queue.size === 0) this.#queues.delete(leave.graceMs);
  }

  /** Takes out the leaves that are due, at most `count` of each grace time, and passes each to `left`. */
  takeDue(count: number, nowMs: number, left: (leave: Leave) => void): void {
    for (const queue of [...this.#queues.values()]) {
      let taken = 0;
      for (const leave of queue) {
        if (nowMs < leave.dueMs || ++taken > count) break;
        this.cancel(leave);
        left(leave);
      }
    }
  }

  clear(): void {
    this.#queues.clear();
    this.#size = 0;
  }
}
