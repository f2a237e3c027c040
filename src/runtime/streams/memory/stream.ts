/** One stream of a memory engine. `StreamStore` has all of them. */
import { builtins } from "../../../wire/node-internals/builtins.ts";
import { RecencyItem } from "./recency-list.ts";
import { StreamLog } from "./stream-log.ts";

/** Bytes of randomness in an epoch: 8 characters of base64url. */
const EPOCH_BYTES = 6;

/** The part of a stream that another process has. */
export interface GivenStream {
  /** The export that has given it. */
  readonly by: object;
  /** Offset of the last publication that the other process has, or that stayed behind. */
  offset: number;
  /** Offset of the last publication that stayed behind; 0 if none has. */
  leftOffset: number;
}

/** A stream as another process gets it: without its publications. */
export interface StreamCopy {
  readonly topic: string;
  readonly epoch: string;
  /** Offset of the oldest publication that is kept. */
  readonly first: number;
  /** Offset of the publication that comes next. */
  readonly next: number;
  /** Time until the publications expire, in ms. */
  readonly listMs: number;
  /** Time until the stream is forgotten, in ms. */
  readonly metaMs: number;
  readonly metaTtlMs: number;
  /** True for a stream that was published to after all that were given before. */
  readonly isRecent: boolean;
}

/** One stream: its epoch, its publications, and when these are over. */
export class Stream extends RecencyItem {
  readonly topic: string;
  readonly epoch: string;
  readonly log = new StreamLog();
  wanted: boolean;
  /** Time at which the publications expire, in ms since 1970. */
  listExpiresAtMs = 0;
  /** Time at which the stream is forgotten, in ms since 1970. A wanted stream isn't. */
  metaExpiresAtMs = 0;
  /** Time from the last use to `metaExpiresAtMs`, in ms. */
  metaTtlMs = 0;
  /** The part of the stream that another process has: see `StreamExport`. */
  given: GivenStream | undefined = undefined;

  constructor(topic: string, wanted: boolean, epoch = builtins.crypto.randomBytes(EPOCH_BYTES).toString("base64url")) {
    super();
    this.topic = topic;
    this.epoch = epoch;
    this.wanted = wanted;
  }
}
