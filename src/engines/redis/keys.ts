/** The names of keys and channels in Redis, and the hash slot of a key. Used by every part of the engine. */

/** The keys of one topic. Each has the same hash tag, so that one script may use all of them in a Redis Cluster. */
export interface TopicKeys {
  /** Epoch, identity of the server and top offset: a string. */
  readonly meta: string;
  /** The publications: a list. */
  readonly list: string;
  /** Channel on which the topic's publications are published. */
  readonly channel: string;
}

/** The keys of the presence of one topic. */
export interface PresenceKeys {
  /** Record of each member, by address: a hash. */
  readonly members: string;
  /** Number of members of each user: a hash. */
  readonly users: string;
  /** Members in their grace time, and the number of those of each user: a hash. */
  readonly leaving: string;
  /** Time at which a member expires or its grace time ends, by address: a sorted set. */
  readonly deadlines: string;
  readonly channel: string;
}

export class Keys {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  topic(topic: string): TopicKeys {
    const base = this.#base(topic);
    return { meta: `${base}:meta`, list: `${base}:list`, channel: base };
  }

  /** The key that remembers the position of a publish with an idempotency key. */
  idempotency(topic: string, idempotencyKey: string): string {
    return `${this.#base(topic)}:once:${idempotencyKey}`;
  }

  channel(topic: string): string {
    return this.#base(topic);
  }

  presence(topic: string): PresenceKeys {
    const base = this.#base(topic);
    return {
      members: `${base}:members`,
      users: `${base}:users`,
      leaving: `${base}:leaving`,
      deadlines: `${base}:deadlines`,
      channel: base,
    };
  }

  /** The channel of control messages to one node, or to all. */
  control(node?: string): string {
    return node === undefined ? `${this.#prefix}:nodes` : `${this.#prefix}:node:${node}`;
  }

  /** The channel on which a node listens to itself, on each server. `number` chooses the hash slot. */
  probe(node: string, number: number): string {
    return `${this.#prefix}:probe:{${number}}:${node}`;
  }

  /** The channel of a mark, on each server. `number` chooses the hash slot, as for `probe`. */
  mark(name: string, number: number): string {
    return `${this.#prefix}:mark:{${number}}:${name}`;
  }

  /**
   * The hash tag ends at the first `}`. It has characters of its own before the topic, because an empty tag is none:
   * the keys of a topic that begins with `}` would else be spread over several slots.
   */
  #base(topic: string): string {
    return `${this.#prefix}:{topic:${topic}}`;
  }
}

/** Number of hash slots of a Redis Cluster. */
export const SLOTS = 16_384;

/** CRC-16/XMODEM of each byte, which Redis Cluster hashes by. */
const CRC_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
  return crc;
});

/** Returns the hash slot of a key. Source: the Redis Cluster specification, "Keys distribution model". */
export function slotOf(key: string): number {
  const open = key.indexOf("{");
  const close = open === -1 ? -1 : key.indexOf("}", open + 1);
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of Buffer.from(hashed)) crc = ((crc << 8) ^ Number(CRC_TABLE[((crc >> 8) ^ byte) & 0xff])) & 0xffff;
  return crc % SLOTS;
}
