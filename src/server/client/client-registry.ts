/** The clients of one shard, and the channels that they are subscribed to. `ClientServer` has one. */
import type { CodeWithReason } from "../protocol/codes.ts";
import type { ClientInfo, Codec, Push } from "../protocol/messages.ts";
import type { ClientFacts, ConnectionGrant } from "./backend.ts";
import type { ClientSubscription } from "./client-subscription.ts";
import type { ClientSubscriptions } from "./client-subscriptions.ts";

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
}

interface SubscribedChannel {
  /** Number that stands for the channel in pushes to clients that agreed to that. From 1. */
  readonly id: number;
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
  #nextId = 1;
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
    this.#clients.set(id, client);
  }

  delete(id: string): void {
    this.#clients.delete(id);
  }

  values(): Iterable<RegisteredClient> {
    return this.#clients.values();
  }

  /** Counts a subscription. Returns the number of the channel. */
  subscribed(channel: string): number {
    this.#subscriptions++;
    let known = this.#channels.get(channel);
    if (known === undefined) {
      known = { id: this.#nextId++, clients: 0, shared: [] };
      this.#channels.set(channel, known);
    }
    if (known.clients++ === 0) this.#owner.occupied(channel);
    return known.id;
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

  /** Returns the number of a channel with subscribers, else 0. */
  idOf(channel: string): number {
    return this.#channels.get(channel)?.id ?? 0;
  }
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
