/**
 * Requests to another thread that wait for their replies, by serial number. Used for the asks of actors, and for the
 * questions of the main thread to a shard.
 *
 * Three others have their own maps. `PendingHandoffs` has one timer for all handoffs of a port, and decides with the
 * receiver who has a socket at its deadline. `Pings` settles a ping and all older ones at once, and has no deadline.
 * `Link` makes one promise for all changes of a tick, before the message with their serial is posted.
 */

/** One request that waits for its reply. */
interface PendingReply<Request> {
  readonly request: Request;
  readonly timer: NodeJS.Timeout;
}

/** The requests of one owner. `Request` is what the owner needs to settle one, such as its promise. */
export class PendingReplies<Request> {
  /** By serial; the oldest first. */
  readonly #pending = new Map<number, PendingReply<Request>>();
  #nextSerial = 0;

  /** Number of requests that wait. The owner bounds it. */
  get size(): number {
    return this.#pending.size;
  }

  /**
   * Adds a request. Returns its serial. `expired` is called, and the request is gone, after `timeoutMs` milliseconds.
   */
  add(request: Request, timeoutMs: number, expired: (request: Request) => void): number {
    const serial = this.#nextSerial++;
    const timer = setTimeout(() => {
      this.#pending.delete(serial);
      expired(request);
    }, timeoutMs);
    this.#pending.set(serial, { request, timer });
    return serial;
  }

  /** Removes a request, for its owner to settle. Returns undefined when it was removed before, or never added. */
  take(serial: number): Request | undefined {
    const pending = this.#pending.get(serial);
    if (pending === undefined) return undefined;
    this.#pending.delete(serial);
    clearTimeout(pending.timer);
    return pending.request;
  }

  /** Removes all requests, or those that `matches` returns true for, and returns them: the oldest first. */
  takeAll(matches: (request: Request) => boolean = () => true): Request[] {
    const taken: Request[] = [];
    for (const [serial, { request, timer }] of this.#pending) {
      if (!matches(request)) continue;
      this.#pending.delete(serial);
      clearTimeout(timer);
      taken.push(request);
    }
    return taken;
  }
}
