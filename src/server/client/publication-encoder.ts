/**
 * Encodes publications for the peers of subscriptions: once for each codec and publication, whatever the number of
 * subscribers. Each shard has one encoder for all clients.
 */
import type { Publication } from "../../runtime/streams/publication.ts";
import { type Message, messageOf } from "../../wire/protocol/message.ts";
import { Opcode } from "../../wire/protocol/opcode.ts";
import { createDelta } from "../protocol/fossil.ts";
import type { Codec, FilterNode } from "../protocol/messages.ts";
import { decodeStored, type StoredPublication } from "../protocol/stored-publication.ts";
import { matches } from "../protocol/tag-filter.ts";

/** The part of the shard that the encoder uses. */
export interface EncoderOwner {
  /** Returns the number that stands for a channel in pushes to clients that agreed to that. */
  numberOf(channel: string): number;
  /** A publication that isn't JSON reached a channel with clients that speak JSON. */
  notJson(channel: string): void;
}

/** The ways in which one subscription differs from plain pushes. */
export interface Wishes {
  readonly codec: Codec;
  /** True for numbers in place of channel names. */
  readonly compact: boolean;
  readonly filter: FilterNode | undefined;
  /** True for Fossil deltas. */
  readonly deltas: boolean;
}

/** Encodes a publication for one subscription. */
export type PublicationEncode = (publication: Publication) => Message | undefined;

/** The publication of which several forms are needed now. */
interface Current {
  readonly block: Buffer;
  readonly start: number;
  readonly topic: string;
  stored: StoredPublication | undefined;
  readonly forms: Map<string, Message | undefined>;
}

const NO_TAGS: Readonly<Record<string, string>> = {};

export class PublicationEncoder {
  readonly #owner: EncoderOwner;
  readonly #shared = new Map<string, PublicationEncode>();
  /** Subscriptions with a function of their own ask for the same publication one after the other. */
  #current: Current | undefined;

  constructor(owner: EncoderOwner) {
    this.#owner = owner;
  }

  /**
   * Returns the function for a subscription: the same one for all with the same wishes, unless it filters or gets
   * deltas.
   *
   * @param base the newest publication that the client got with the answer to its subscription
   */
  for(wishes: Wishes, base?: Publication): PublicationEncode {
    const { codec, compact, filter, deltas } = wishes;
    if (deltas) return this.#withDeltas(wishes, base);
    const plain = this.#plain(codec, compact);
    if (filter === undefined) return plain;
    return (publication) => {
      const { tags = NO_TAGS } = this.#storedOf(publication);
      return matches(filter, tags)
        ? this.#form(publication, `plain ${codec.name} ${compact}`, () => plain(publication))
        : undefined;
    };
  }

  #plain(codec: Codec, compact: boolean): PublicationEncode {
    const name = `${codec.name} ${compact}`;
    let encode = this.#shared.get(name);
    if (encode === undefined) {
      encode = ({ message, topic, offset }) => {
        const target = compact ? this.#owner.numberOf(topic) : topic;
        const encoded = codec.encodePublication(message, target, offset === 0 ? undefined : offset);
        if (encoded.kind === "push") return encoded.push;
        this.#owner.notJson(topic);
        return undefined;
      };
      this.#shared.set(name, encode);
    }
    return encode;
  }

  /** A delta is made against the publication before, if the client has exactly that one. */
  #withDeltas({ codec, compact }: Wishes, base: Publication | undefined): PublicationEncode {
    let before = base === undefined ? undefined : { offset: base.offset, data: decodeStored(base.message).data };
    return (publication) => {
      const stored = this.#storedOf(publication);
      const { data } = stored;
      const from = stored.delta === true && before?.offset === publication.offset - 1 ? before.data : undefined;
      // The client takes one that isn't stored for the base of the next, if it gets it at all: the next one is sent
      // full.
      before = publication.offset === 0 ? undefined : { offset: publication.offset, data };
      const name = `${from === undefined ? "full" : "delta"} ${codec.name} ${compact}`;
      return this.#form(publication, name, () => this.#deltaPush(publication, stored, from, codec, compact));
    };
  }

  #deltaPush(
    { topic, offset }: Publication,
    stored: StoredPublication,
    from: Buffer | undefined,
    codec: Codec,
    compact: boolean,
  ): Message | undefined {
    if (codec.name === "json" && !stored.isJson) {
      this.#owner.notJson(topic);
      return undefined;
    }
    const delta = from === undefined ? undefined : createDelta(from, stored.data);
    const isDelta = delta !== undefined && delta.length < stored.data.length;
    const { info, tags, time } = stored;
    const data = deltaData(codec, isDelta ? delta : stored.data);
    const id = compact ? this.#owner.numberOf(topic) : undefined;
    const push = codec.encodePush({
      kind: "pub",
      channel: topic,
      id,
      pub: { data, info, tags, time, offset: offset === 0 ? undefined : offset, delta: isDelta },
    });
    return typeof push === "string" ? messageOf(Opcode.text, Buffer.from(push)) : messageOf(Opcode.binary, push);
  }

  #storedOf(publication: Publication): StoredPublication {
    const current = this.#currentOf(publication);
    current.stored ??= decodeStored(publication.message);
    return current.stored;
  }

  /** Returns one form of a publication, made once. */
  #form(publication: Publication, name: string, make: () => Message | undefined): Message | undefined {
    const { forms } = this.#currentOf(publication);
    if (forms.has(name)) return forms.get(name);
    const form = make();
    forms.set(name, form);
    return form;
  }

  #currentOf({ message: { block, start }, topic }: Publication): Current {
    const current = this.#current;
    if (current?.block === block && current.start === start && current.topic === topic) return current;
    this.#current = { block, start, topic, stored: undefined, forms: new Map() };
    return this.#current;
  }
}

/**
 * Returns data as a client with deltas gets it. JSON clients then take each payload as a JSON string, because a delta
 * isn't JSON.
 */
export function deltaData(codec: Codec, data: Buffer): Buffer {
  return codec.name === "json" ? Buffer.from(JSON.stringify(data.toString())) : data;
}

/** Returns whether a client that speaks `codec` can get the publication. */
export function canGet(codec: Codec, publication: Publication): boolean {
  return codec.name === "protobuf" || decodeStored(publication.message).isJson;
}
