/** The clients of one shard, and the channels that they are subscribed to. `ClientServer` has one. */
import type { CodeWithReason } from "../protocol/codes.ts";
import type { ClientInfo, Codec, Push } from "../protocol/messages.ts";
import type { ClientFacts, ConnectionGrant } from "./backend.ts";
import type { ClientSubscription } from "./client-subscription.ts";
import type { ClientSubscriptions } from "./client-subscriptions.ts";
import type { ChangeQuestion } from "./control/control.ts";

/** A client as the rest of its shard sees it. */
export interface RegisteredClient {
  readonly clientId: string;
  readonly user: string;
  readonly codec: Codec;
  readonly clientInfo: ClientInfo;
  readonly address: string;
  readonly subscriptions: ClientSubscriptions;
  /** Secret of a client without a WebSocket. */
  readonly emulatedSession: string | undefined;
  readonly life: {
    /** Name and version that the client gave with `connect`. */
    readonly name: string;
    readonly version: string;
    /** Unix time in ms. */
    readonly connectedAt: number;
    /** Unix time in seconds at which the connection expires. Undefined: never. */
    readonly expireAt: number | undefined;
  };
  facts(): ClientFacts;
  push(push: Push): void;
  /** Tells the client of its own join of a channel, if the client is told of joins there. */
  pushOwnJoin(channel: string): void;
  pushUnsubscribe(channel: string, reason: CodeWithReason): void;
  closeWith(reason: CodeWithReason): void;
  renewed(grant: Pick<ConnectionGrant, "expireAt" | "info">): void;
  /**
   * Runs work as a handler of the client's actor. Resolves with what it returns; with false if the client has gone.
   *
   * @param channel channel whose commands that are under way come first; "" for all channels
   */
  soon(work: () => boolean | Promise<boolean>, channel?: string): Promise<boolean>;
  /** Passes a question on to the object of the client that takes over from this one, in whichever shard. */
  forward(question: ChangeQuestion): void;
}

/** A client that has left its shard, or is about to. */
interface Leaving {
  readonly client: RegisteredClient;
  /** Time by `performance.now()`, in ms. */
  readonly sinceMs: number;
}

/** Time for which questions about a client that moves are passed on. A move takes at most half of it. */
const LEAVING_MS = 10_000;
/** Numbers of channels take three bytes in Protobuf at most. */
const MAX_NUMBER = 2 ** 21 - 1;

interface SubscribedChannel {
  readonly number: number;
  clients: number;
  /** Records that several subscriptions share, at most `MAX_SHARED`. */
  readonly shared: ClientSubscription[];
}

/** Codecs and kinds of rights differ in one channel, but not often. */
const MAX_SHARED = 4;

export interface RegistryOwner {
  /** A channel has its first subscriber in this shard. */
  occupied(channel: string): void;
  /** A channel's last subscriber in this shard has gone. */
  vacated(channel: string): void;
}

export class ClientRegistry {
  readonly #clients = new Map<string, RegisteredClient>();
  readonly #channels = new Map<string, SubscribedChannel>();
  readonly #owner: RegistryOwner;
  readonly #leaving = new Map<string, Leaving>();
  #timer: NodeJS.Timeout | undefined;
  #subscriptions = 0;

  constructor(owner: RegistryOwner) {
    this.#owner = owner;
  }

  /** Number of subscriptions of all clients. */
  get subscriptions(): number {
    return this.#subscriptions;
  }

  /** Number of subscribers by channel. */
  get channels(): ReadonlyMap<string, { readonly clients: number }> {
    return this.#channels;
  }

  get size(): number {
    return this.#clients.size;
  }

  add(id: string, client: RegisteredClient): void {
    this.#leaving.delete(id);
    this.#clients.set(id, client);
  }

  delete(id: string): void {
    this.#leaving.delete(id);
    this.#clients.delete(id);
  }

  /** A client is about to move to another shard. It may come back here. */
  leaves(id: string): void {
    const client = this.#clients.get(id);
    if (client === undefined) return;
    this.#clients.delete(id);
    this.#leaving.set(id, { client, sinceMs: performance.now() });
    this.#timer ??= setTimeout(this.#forgetLeaving, LEAVING_MS).unref();
  }

  /** The clients that have left by a move within the last seconds, or are about to. */
  *leaving(): Iterable<RegisteredClient> {
    for (const { client } of this.#leaving.values()) yield client;
  }

  readonly #forgetLeaving = (): void => {
    const before = performance.now() - LEAVING_MS;
    for (const [id, { sinceMs }] of this.#leaving) if (sinceMs <= before) this.#leaving.delete(id);
    this.#timer = this.#leaving.size === 0 ? undefined : setTimeout(this.#forgetLeaving, LEAVING_MS).unref();
  };

  values(): Iterable<RegisteredClient> {
    return this.#clients.values();
  }

  /** Counts a subscription. */
  subscribed(channel: string): void {
    this.#subscriptions++;
    let known = this.#channels.get(channel);
    if (known === undefined) {
      known = { number: numberOf(channel), clients: 0, shared: [] };
      this.#channels.set(channel, known);
    }
    if (known.clients++ === 0) this.#owner.occupied(channel);
  }

  /** Returns the record of another subscription to the channel that is equal, else the one that is given. */
  shared(record: ClientSubscription): ClientSubscription {
    const records = this.#channels.get(record.channel.name)?.shared ?? [];
    const equal = records.find((other) => areEqual(record, other));
    if (equal === undefined && records.length < MAX_SHARED) records.push(record);
    return equal ?? record;
  }

  unsubscribed(channel: string): void {
    const known = this.#channels.get(channel);
    if (known === undefined) return;
    this.#subscriptions--;
    if (--known.clients > 0) return;
    this.#channels.delete(channel);
    this.#owner.vacated(channel);
  }

  /**
   * Returns the number that stands for a channel in pushes, from 1: the same in all shards, for clients that move. Two
   * channels may have the same number.
   */
  numberOf(channel: string): number {
    return this.#channels.get(channel)?.number ?? numberOf(channel);
  }
}

/** Source: FNV-1a, folded to 21 bits. */
function numberOf(channel: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < channel.length; at++) hash = Math.imul(hash ^ channel.charCodeAt(at), 0x01000193);
  return 1 + ((hash >>> 0) % MAX_NUMBER);
}

function areEqual(one: ClientSubscription, other: ClientSubscription): boolean {
  const { rights, ...rest } = one;
  const { rights: otherRights, ...otherRest } = other;
  return haveEqualFields(rest, otherRest) && haveEqualFields(rights, otherRights);
}

/** Compares objects of the same fields. */
function haveEqualFields<T extends object>(one: T, other: T): boolean {
  return (Object.keys(one) as (keyof T)[]).every((key) => one[key] === other[key]);
}
