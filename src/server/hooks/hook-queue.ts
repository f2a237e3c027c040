/**
 * The notifications for one address: sent in order, several in one POST, one POST at a time, again and again until the
 * application takes them or they are too old. `Hooks` has one for each kind.
 */
import type { EndpointConfig } from "../config/config.ts";
import { EndpointLog, type HooksLog } from "./endpoint-log.ts";
import { hookBody, hookHeaders } from "./hook-events.ts";
import { describeUrl, endpointUrl, HttpCaller } from "./http-call.ts";
import { fixedHeaders } from "./request-headers.ts";

/** Notifications that wait at most, and their bytes at most. Beyond it, the oldest ones are dropped. */
export const MAX_EVENTS_WAITING = 10_000;
export const MAX_EVENT_BYTES_WAITING = 8 * 1024 * 1024;

/** Notifications in one POST at most, and their bytes at most (a larger one goes alone). */
export const MAX_EVENTS_IN_POST = 100;
const MAX_BYTES_IN_POST = 256 * 1024;

/** One for the POST, and one for the rest of a failed one. */
const MAX_SOCKETS = 2;

/** Time in ms during which a notification is tried. */
export const GIVE_UP_AFTER_MS = 5 * 60_000;

/** Pause in ms before the second try. It doubles with each further one. */
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;

export interface HookQueueSnapshot {
  /** Notifications that wait, those under way included. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** Notifications that the application took. */
  readonly delivered: number;
  /** Notifications that were given up: too many waited, or they were too old. */
  readonly dropped: number;
  /** POSTs, and those that failed. */
  readonly posts: number;
  readonly failures: number;
}

export interface HookQueueOptions {
  /** Time in ms during which a notification is tried. Default: 5 minutes. */
  readonly giveUpAfterMs?: number | undefined;
  /** Pause in ms before the second try. Default: 500. */
  readonly firstPauseMs?: number | undefined;
}

interface Waiting {
  readonly event: string;
  readonly bytes: number;
  /** Time of the event, in ms of the monotonic clock. */
  readonly since: number;
}

export class HookQueue {
  readonly #timeoutMs: number;
  readonly #fixed: Record<string, string>;
  readonly #secret: string;
  readonly #caller: HttpCaller;
  readonly #log: EndpointLog;
  readonly #giveUpAfterMs: number;
  readonly #firstPauseMs: number;
  /** The oldest one first. Those before `#first` are done. */
  #events: Waiting[] = [];
  #first = 0;
  /** Number of notifications that ever left. */
  #gone = 0;
  #bytes = 0;
  #sending = false;
  #failuresInARow = 0;
  #wake: (() => void) | undefined;
  #closed = false;
  #emptied: (() => void)[] = [];
  #delivered = 0;
  #dropped = 0;
  #posts = 0;
  #failures = 0;

  /**
   * @param name key of the endpoint in the config, such as "hooks.disconnect"
   * @param secret signs the body; "" for none
   * @throws `ERR_OPTION` if the address or a fixed header is none
   */
  constructor(
    name: string,
    config: EndpointConfig,
    secret: string,
    log: HooksLog,
    { giveUpAfterMs = GIVE_UP_AFTER_MS, firstPauseMs = FIRST_PAUSE_MS }: HookQueueOptions = {},
  ) {
    const url = endpointUrl(config.endpoint, name);
    this.#timeoutMs = config.timeoutMs;
    this.#fixed = fixedHeaders(config, name);
    this.#secret = secret;
    this.#caller = new HttpCaller(url, MAX_SOCKETS);
    this.#log = new EndpointLog(log, name, describeUrl(url));
    this.#giveUpAfterMs = giveUpAfterMs;
    this.#firstPauseMs = firstPauseMs;
  }

  /** @param event the JSON text of one notification */
  add(event: string): void {
    const bytes = Buffer.byteLength(event);
    if (this.#closed || bytes > MAX_EVENT_BYTES_WAITING) {
      this.#drop(1);
      return;
    }
    this.#events.push({ event, bytes, since: performance.now() });
    this.#bytes += bytes;
    while (this.#waiting > MAX_EVENTS_WAITING || this.#bytes > MAX_EVENT_BYTES_WAITING) {
      this.#shift(1);
      this.#drop(1);
    }
    if (this.#sending) return;
    this.#sending = true;
    // The POST begins after this turn of the event loop, and takes all events that the turn adds.
    setImmediate(() => void this.#send());
  }

  snapshot(): HookQueueSnapshot {
    return {
      waiting: this.#waiting,
      waitingBytes: this.#bytes,
      delivered: this.#delivered,
      dropped: this.#dropped,
      posts: this.#posts,
      failures: this.#failures,
    };
  }

  /** Sends what waits, for at most this time in ms. The rest is dropped. */
  async close(timeoutMs: number): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    if (this.#sending) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#emptied.push(resolve);
      const timer = setTimeout(resolve, timeoutMs);
      await promise;
      clearTimeout(timer);
    }
    this.#drop(this.#waiting);
    this.#shift(this.#waiting);
    this.#wake?.();
    this.#caller.close();
  }

  get #waiting(): number {
    return this.#events.length - this.#first;
  }

  async #send(): Promise<void> {
    while (this.#waiting > 0) {
      const batch = this.#nextBatch();
      const gone = this.#gone;
      if (await this.#post(batch)) {
        this.#failuresInARow = 0;
        // Events that were dropped during the POST, because too many waited, don't count twice.
        const taken = Math.max(0, batch.length - (this.#gone - gone));
        this.#shift(taken);
        this.#delivered += taken;
        continue;
      }
      this.#dropOld();
      await this.#pause();
    }
    this.#sending = false;
    for (const resolve of this.#emptied) resolve();
  }

  #nextBatch(): Waiting[] {
    const batch: Waiting[] = [];
    let bytes = 0;
    for (const waiting of this.#events.slice(this.#first, this.#first + MAX_EVENTS_IN_POST)) {
      bytes += waiting.bytes;
      if (bytes > MAX_BYTES_IN_POST && batch.length > 0) break;
      batch.push(waiting);
    }
    return batch;
  }

  async #post(batch: readonly Waiting[]): Promise<boolean> {
    this.#posts++;
    const body = hookBody(batch.map(({ event }) => event));
    const headers = hookHeaders(this.#fixed, this.#secret, body);
    // The call is repeatable: a failed POST is tried again anyway, so an event may arrive twice.
    const outcome = await this.#caller.post({ body, headers, timeoutMs: this.#timeoutMs, repeatable: true });
    if (outcome.kind === "answered") {
      if (this.#failuresInARow > 0) this.#log.recovered();
      return true;
    }
    this.#failures++;
    this.#failuresInARow++;
    this.#log.failed(outcome.failure);
    return false;
  }

  #dropOld(): void {
    const oldest = performance.now() - this.#giveUpAfterMs;
    let old = 0;
    while (old < this.#waiting && (this.#events[this.#first + old]?.since ?? 0) <= oldest) old++;
    this.#shift(old);
    this.#drop(old);
  }

  /** Takes the oldest ones out. */
  #shift(count: number): void {
    for (const { bytes } of this.#events.slice(this.#first, this.#first + count)) this.#bytes -= bytes;
    this.#first += count;
    this.#gone += count;
    if (this.#first < 1_024 && this.#first < this.#events.length) return;
    this.#events = this.#events.slice(this.#first);
    this.#first = 0;
  }

  #drop(count: number): void {
    if (count === 0) return;
    this.#dropped += count;
    this.#log.overloaded("notifications were dropped: the application didn't take them in time; check its log", count);
  }

  /** Waits before the next try: longer each time, not in step with other servers, and not while closing. */
  async #pause(): Promise<void> {
    if (this.#waiting === 0) return;
    const longest = Math.min(MAX_PAUSE_MS, this.#firstPauseMs * 2 ** (this.#failuresInARow - 1));
    const pauseMs = this.#closed ? this.#firstPauseMs : longest * (0.5 + Math.random() / 2);
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, pauseMs);
    this.#wake = resolve;
    await promise;
    this.#wake = undefined;
    clearTimeout(timer);
  }
}
