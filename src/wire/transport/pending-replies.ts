/**
 * Requests that wait for their replies, by serial number: the asks of actors, the questions of the main thread to a
 * shard, the changes of interest between two threads of the bus, and the pings of a `WebSocket`.
 *
 * `PendingHandoffs` has a map of its own: a handoff uses up its serial only when its post succeeded, and at its
 * deadline it goes on waiting if the receiver has taken the socket. `PublishesUnderWay` has one timer for all of its
 * publishes, which may be hundreds of thousands in a second.
 */

/** One request that waits for its reply. */
interface PendingReply<Request> {
  readonly request: Request;
  /** Undefined for a request without a deadline. */
  readonly timer: NodeJS.Timeout | undefined;
}

/** The requests of one owner. `Request` is what the owner needs to settle one, such as its promise. */
export class PendingReplies<Request> {
  /** Pending requests by serial; the oldest first. */
  readonly #pending = new Map<number, PendingReply<Request>>();
  #nextSerial = 0;

  /** Number of requests that wait. The owner bounds it. */
  get size(): number {
    return this.#pending.size;
  }

  /** Adds a request without a deadline, which waits as long as its connection lasts. Returns its serial. */
  add(request: Request): number {
    const serial = this.#nextSerial++;
    this.#pending.set(serial, { request, timer: undefined });
    return serial;
  }

  /**
   * Adds a request. Returns its serial. `expired` is called, and the request is gone, after `timeoutMs` milliseconds.
   */
  addUntil(request: Request, timeoutMs: number, expired: (request: Request) => void): number {
    const serial = this.#nextSerial++;
    const timer = setTimeout(() => {
      this.#pending.delete(serial);
      expired(request);
    }, timeoutMs);
    this.#pending.set(serial, { request, timer });
    return serial;
  }

  /** Returns a request without removing it; undefined when it was removed before, or never added. */
  get(serial: number): Request | undefined {
    return this.#pending.get(serial)?.request;
  }

  /** Yields all requests; the oldest first. */
  *requests(): Generator<Request, void> {
    for (const { request } of this.#pending.values()) yield request;
  }

  /** Removes a request, for its owner to settle. Returns undefined when it was removed before, or never added. */
  take(serial: number): Request | undefined {
    const pending = this.#pending.get(serial);
    if (pending === undefined) return undefined;
    this.#pending.delete(serial);
    clearTimeout(pending.timer);
    return pending.request;
  }

  /**
   * Removes a request and all older ones, and returns them: the oldest first. Returns none when the request was removed
   * before, or never added.
   */
  takeThrough(last: number): Request[] {
    const taken: Request[] = [];
    if (!this.#pending.has(last)) return taken;
    for (const [serial, { request, timer }] of this.#pending) {
      if (serial > last) break;
      this.#pending.delete(serial);
      clearTimeout(timer);
      taken.push(request);
    }
    return taken;
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
