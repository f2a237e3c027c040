/** A publication of a stream, as an engine stores it and as an actor sees it. */
import { type Frame, payloadStart } from "../../wire/protocol/frame.ts";
import { Message } from "../../wire/protocol/message.ts";

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
  readonly epoch: string;
  readonly offset: number;
  /** Time at which the engine took the publication, in ms since 1970. */
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
