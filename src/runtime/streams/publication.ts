/** A publication of a stream, as an engine stores it and as an actor sees it. */
import { type Frame, payloadStart } from "../../wire/protocol/frame.ts";
import { Message, type Sendable, toFrame } from "../../wire/protocol/message.ts";

/**
 * A publication as engines store it. The frame is the WebSocket frame that carries the message, unmasked: a publish
 * encodes it once, and whoever gets the message unchanged gets these bytes. An engine treats the frame as opaque bytes.
 */
export interface StreamRecord {
  /** Offset in the stream, from 1. */
  readonly offset: number;
  /** Time at which the engine took the publication, in ms since 1970. */
  readonly timeMs: number;
  readonly frame: Frame;
}

/** A publication as an actor sees it. */
export class Publication {
  readonly topic: string;
  /** Epoch of the stream; "" on a topic without history, and for what isn't stored. */
  readonly epoch: string;
  /** Offset in the stream, from 1; 0 on a topic without history, and for what isn't stored. */
  readonly offset: number;
  /**
   * Time at which the engine took the publication, in ms since 1970. Without an offset: time of the delivery.
   */
  readonly timeMs: number;
  /** The message, as it was published. */
  readonly message: Message;

  constructor(topic: string, epoch: string, { offset, timeMs, frame }: StreamRecord) {
    this.topic = topic;
    this.epoch = epoch;
    this.offset = offset;
    this.timeMs = timeMs;
    this.message = new Message(frame.block, frame.start, payloadStart(frame), frame.end);
  }
}

/**
 * Says how a publication looks to the peers of a subscription, or returns undefined if they don't get it. Called once
 * for each publication, shard and function, not once for each subscriber: give the same function in each `subscribe`. A
 * function of its own for one subscription filters for that peer alone, at the price of a call for each publication.
 *
 * A publication that a slow peer refused is encoded again later.
 */
export type Encode = (publication: Publication) => Sendable | undefined;

/**
 * Returns a publication as it goes to peers of subscriptions with this `encode`; undefined if they don't get it. Throws
 * what `encode` throws.
 */
export function encoded(
  topic: string,
  epoch: string,
  record: StreamRecord,
  encode: Encode | undefined,
): Frame | undefined {
  if (encode === undefined) return record.frame;
  const data = encode(new Publication(topic, epoch, record));
  return data === undefined ? undefined : toFrame(data);
}

/** The publications of reads that several subscribers share, by the records. */
const sharedPublications = new WeakMap<readonly StreamRecord[], readonly Publication[]>();

/**
 * Returns the publications of a read, in an array of the caller's own. Whoever asks with the same records gets the same
 * publications: each is created, and queued as a frame, once for many peers.
 */
export function publicationsOf(topic: string, epoch: string, records: readonly StreamRecord[]): readonly Publication[] {
  let publications = sharedPublications.get(records);
  if (publications === undefined) {
    publications = records.map((record) => new Publication(topic, epoch, record));
    sharedPublications.set(records, publications);
  }
  return publications.slice();
}
