/** The subscriptions of a shard that are told of joins and leaves of one topic. `Feed` has one `PresenceWatchers`. */
import type { PresenceChange } from "../streams/engine.ts";
import type { PresenceEvent } from "../streams/topic-memory.ts";
import { presenceMember } from "./topics.ts";

/** Is told of changes of presence. */
export interface PresenceWatcher {
  presenceChanged(event: PresenceEvent): void;
}

export class PresenceWatchers {
  readonly #topic: string;
  readonly #watchers = new Set<PresenceWatcher>();

  constructor(topic: string) {
    this.#topic = topic;
  }

  add(watcher: PresenceWatcher): void {
    this.#watchers.add(watcher);
  }

  delete(watcher: PresenceWatcher): void {
    this.#watchers.delete(watcher);
  }

  /** A member has joined or left. */
  changed({ kind, topic, member, ofUser }: PresenceChange): void {
    if (this.#watchers.size > 0) this.#tell({ kind, topic, member: presenceMember(member), ofUser });
  }

  /** Changes may have been lost. */
  doubted(): void {
    this.#tell({ kind: "missed", topic: this.#topic });
  }

  /** All watchers get the same object. */
  #tell(event: PresenceEvent): void {
    for (const watcher of [...this.#watchers]) watcher.presenceChanged(event);
  }
}

/** Number of changes that wait for one watcher. Beyond it the watcher is told that changes were missed. */
const MAX_WAITING = 1_024;

/** Changes of presence that wait for a watcher that moves to another thread. */
export class WaitingPresence implements PresenceWatcher {
  #events: PresenceEvent[] = [];

  get events(): readonly PresenceEvent[] {
    return this.#events;
  }

  presenceChanged(event: PresenceEvent): void {
    if (this.#events.length < MAX_WAITING) this.#events.push(event);
    else this.#events = [{ kind: "missed", topic: event.topic }];
  }

  clear(): void {
    this.#events = [];
  }

  /** Tells a watcher everything that waits. */
  tell(watcher: PresenceWatcher): void {
    const events = this.#events;
    this.#events = [];
    for (const event of events) watcher.presenceChanged(event);
  }
}
