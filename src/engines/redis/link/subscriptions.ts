/** The channels that a link listens to: subscribed in batches, and all of them again on each new connection. */
import type { Waiting } from "../../../runtime/streams/takeover.ts";
import { noop } from "../../../wire/protocol/empty.ts";
import { failureOf, unavailable } from "../failures.ts";
import { type Connection, MISROUTED, wasNotRun } from "./connection.ts";

/** The receiver of a channel's messages. */
export interface Listener {
  /**
   * Returns the kind of a message, which waits after `hold` of its kind; undefined for one that never waits. Default:
   * none waits.
   */
  waits?(bytes: Buffer): Waiting | undefined;
  received(bytes: Buffer): void;
  /** Messages may be lost before those that are received from now on. */
  interrupted?(): void;
}

/** Number of channels in one command. */
const BATCH = 1_000;
/** Bytes of messages of one link that wait at most. More are dropped. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** Bytes of memory that a message takes beside its own, roughly. */
const MESSAGE_BYTES = 200;

/** A message that waits. */
interface WaitingMessage {
  readonly channel: string;
  readonly subscription: Subscription;
  readonly bytes: Buffer;
}

class Subscription {
  readonly listener: Listener;
  /** Settles when Redis has answered. */
  readonly ready = Promise.withResolvers<void>();
  readonly since = performance.now();
  isReady = false;

  constructor(listener: Listener) {
    this.listener = listener;
    this.ready.promise.catch(() => undefined);
  }
}

export class Subscriptions {
  readonly #isSharded: boolean;
  readonly #wanted = new Map<string, Subscription>();
  readonly #pending = new Set<string>();
  /** Channels to subscribe to (true) or to leave (false) at the end of the tick. */
  readonly #changes = new Map<string, boolean>();
  readonly #misrouted: () => void;
  #connection: Connection | undefined;
  /** The connection whose changes Redis hasn't answered yet. */
  #changing: Connection | undefined;
  #isScheduled = false;
  /** Kinds of messages that wait for `release`. */
  readonly #held = new Set<Waiting>();
  #waiting: WaitingMessage[] = [];
  #waitingBytes = 0;
  #dropped = 0;

  /**
   * @param isSharded true to subscribe by `SSUBSCRIBE`: one channel in a command
   * @param misrouted called when a server says that another one has a channel
   */
  constructor(isSharded: boolean, misrouted: () => void) {
    this.#isSharded = isSharded;
    this.#misrouted = misrouted;
  }

  get count(): number {
    return this.#wanted.size;
  }

  received(channel: Buffer, bytes: Buffer): void {
    const name = channel.toString();
    const subscription = this.#wanted.get(name);
    if (subscription === undefined) return;
    const { listener } = subscription;
    const waits = this.#held.size === 0 ? undefined : listener.waits?.(bytes);
    if (waits === undefined || !this.#held.has(waits)) listener.received(bytes);
    else this.#wait({ channel: name, subscription, bytes });
  }

  #wait(message: WaitingMessage): void {
    this.#waitingBytes += message.bytes.length + MESSAGE_BYTES;
    if (this.#waitingBytes <= MAX_WAITING_BYTES) this.#waiting.push(message);
    else this.#dropped++;
  }

  /** Lets messages of a kind wait from now on; at most 64 MiB. */
  hold(waiting: Waiting): void {
    this.#held.add(waiting);
  }

  /**
   * Gives the messages that have waited to their listeners, in order. Returns the number of those that were dropped.
   */
  release(): number {
    const waiting = this.#waiting;
    const dropped = this.#dropped;
    this.#held.clear();
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#dropped = 0;
    for (const { channel, subscription, bytes } of waiting) {
      if (this.#wanted.get(channel) === subscription) subscription.listener.received(bytes);
    }
    return dropped;
  }

  /**
   * Subscribes to a channel. Resolves when all that is published from then on arrives. Rejects if Redis says no, or is
   * away for longer than `expire` allows: the channel isn't wanted then.
   */
  add(channel: string, listener: Listener): Promise<void> {
    const known = this.#wanted.get(channel);
    if (known !== undefined) return known.ready.promise;
    const subscription = new Subscription(listener);
    this.#wanted.set(channel, subscription);
    this.#pending.add(channel);
    this.#schedule(channel, true);
    return subscription.ready.promise;
  }

  remove(channel: string): void {
    const subscription = this.#wanted.get(channel);
    if (subscription === undefined) return;
    this.#wanted.delete(channel);
    this.#pending.delete(channel);
    subscription.ready.resolve();
    this.#schedule(channel, false);
  }

  /**
   * Subscribes to everything on a new connection. Resolves when Redis has confirmed all. Rejects if it says no to a
   * channel that it has confirmed before: the subscriber doesn't know that it hears nothing.
   */
  async restore(connection: Connection): Promise<void> {
    this.#connection = connection;
    this.#changes.clear();
    await this.#change(connection, () => this.#subscribe([...this.#wanted.keys()]));
  }

  /** Hands the channels over to the subscriptions of other links, where `target` names one. */
  moveTo(target: (channel: string) => Subscriptions | undefined): void {
    for (const [channel, subscription] of this.#wanted) {
      const other = target(channel);
      if (other === undefined) continue;
      this.#wanted.delete(channel);
      this.#pending.delete(channel);
      other.#adopt(channel, subscription);
    }
  }

  /** Forgets the connection, which was lost. */
  suspend(): void {
    if (this.#connection !== undefined) {
      for (const { listener } of this.#wanted.values()) listener.interrupted?.();
    }
    this.#connection = undefined;
    this.#changing = undefined;
  }

  /** Gives up the channels that have waited for Redis for `ms`. */
  expire(ms: number, reason: string): void {
    const now = performance.now();
    for (const channel of this.#pending) {
      const subscription = this.#wanted.get(channel);
      if (subscription !== undefined && now - subscription.since >= ms) {
        this.#fail(channel, subscription, unavailable(reason));
      }
    }
  }

  #adopt(channel: string, subscription: Subscription): void {
    this.#wanted.set(channel, subscription);
    if (!subscription.isReady) this.#pending.add(channel);
    // Only a new connection says that something may be lost: each of its channels is subscribed to, this one too.
    this.#connection?.close("a channel has moved here");
  }

  #schedule(channel: string, isWanted: boolean): void {
    this.#changes.set(channel, isWanted);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      if (this.#changing === undefined) this.#applyChanges();
    });
  }

  #applyChanges(): void {
    const changes = [...this.#changes];
    this.#changes.clear();
    const connection = this.#connection;
    // Without a connection nothing is lost: the next one subscribes to all that is wanted.
    if (connection === undefined || connection.isClosed || changes.length === 0) return;
    const removed = changes.filter(([, isOne]) => !isOne).map(([name]) => name);
    const added = changes.filter(([, isOne]) => isOne).map(([name]) => name);
    const change = async (): Promise<void> => {
      const left = this.#batches(removed).map((batch) => connection.unsubscribe(batch, this.#isSharded).catch(noop));
      await Promise.all([...left, this.#subscribe(added)]);
    };
    this.#change(connection, change).catch(noop);
  }

  /**
   * Changes what a connection is subscribed to. The next changes wait until Redis has answered, because `@redis/client`
   * sends no SUBSCRIBE for a channel that its UNSUBSCRIBE hasn't left yet, and then hears nothing.
   */
  async #change(connection: Connection, change: () => Promise<void>): Promise<void> {
    this.#changing = connection;
    try {
      await change();
    } finally {
      if (this.#changing === connection) {
        this.#changing = undefined;
        this.#applyChanges();
      }
    }
  }

  async #subscribe(channels: readonly string[]): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined) return;
    const batches = this.#batches(channels);
    await Promise.all(
      batches.map(async (batch) => {
        const asked = batch.map((channel) => [channel, this.#wanted.get(channel)] as const);
        try {
          await connection.subscribe(batch, this.#isSharded);
          for (const [channel, subscription] of asked) this.#confirm(channel, subscription);
        } catch (error) {
          // The next connection tries again.
          if (connection.isClosed) throw error;
          if (wasNotRun(error, MISROUTED)) this.#misrouted();
          else for (const [channel, subscription] of asked) this.#refuse(channel, subscription, failureOf(error));
          if (asked.some(([, subscription]) => subscription?.isReady)) throw error;
        }
      }),
    );
  }

  #confirm(channel: string, subscription: Subscription | undefined): void {
    // The subscription may have been removed, and added again, meanwhile.
    if (subscription === undefined || this.#wanted.get(channel) !== subscription) return;
    this.#pending.delete(channel);
    subscription.isReady = true;
    subscription.ready.resolve();
  }

  /** A channel that was confirmed before stays wanted: the connection fails, and the health of the link tells why. */
  #refuse(channel: string, subscription: Subscription | undefined, error: Error): void {
    if (subscription?.isReady !== true) this.#fail(channel, subscription, error);
  }

  #fail(channel: string, subscription: Subscription | undefined, error: Error): void {
    if (subscription === undefined || this.#wanted.get(channel) !== subscription) return;
    this.#wanted.delete(channel);
    this.#pending.delete(channel);
    subscription.ready.reject(error);
  }

  #batches(channels: readonly string[]): string[][] {
    const size = this.#isSharded ? 1 : BATCH;
    const batches: string[][] = [];
    for (let at = 0; at < channels.length; at += size) batches.push(channels.slice(at, at + size));
    return batches;
  }
}
