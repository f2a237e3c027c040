/** Decodes a session with the decoder of this project. Used by `verdict.ts`. */
import { Decoder } from "../../src/wire/protocol/decoding/decoder.ts";
import { Inflater } from "../../src/wire/protocol/deflate/inflater.ts";
import { describeEvent, type Seen } from "../wire/protocol/decoding/decoding.ts";
import { type Limits, reads, type Session } from "./session.ts";

/** A compressed message as our decoder saw it. */
export interface Inflation {
  /** Index of the message's event. */
  readonly index: number;
  readonly payload: Buffer;
  /** Output of the earlier messages, if they are the context of this one. */
  readonly context: Buffer;
}

export interface Ours {
  readonly events: readonly Seen[];
  readonly inflations: readonly Inflation[];
}

const WINDOW_BYTES = 32 * 1024;

class RecordingInflater extends Inflater {
  readonly seen: { readonly payload: Buffer; readonly context: Buffer }[] = [];
  readonly #keeps: boolean;
  #context: Buffer = Buffer.alloc(0);

  constructor(keeps: boolean) {
    super({ peerWindowBits: 15, peerContextTakeover: keeps });
    this.#keeps = keeps;
  }

  override inflate(payload: Buffer, maxBytes: number): ReturnType<Inflater["inflate"]> {
    this.seen.push({ payload: Buffer.from(payload), context: this.#context });
    const inflated = super.inflate(payload, maxBytes);
    if (this.#keeps && typeof inflated !== "string") {
      this.#context = Buffer.concat([this.#context, inflated]).subarray(-WINDOW_BYTES);
    }
    return inflated;
  }
}

/** Decodes a session and the epilogue with our decoder. Overwrites each read after its use. */
export function decodeOurs({ role, agreement, cuts, bytes }: Session, limits: Limits, epilogue: Buffer): Ours {
  const inflater = agreement === "none" ? undefined : new RecordingInflater(agreement === "context");
  const decoder = new Decoder({ ...limits, role, inflater });
  const events: Seen[] = [];
  const inflations: Inflation[] = [];
  for (const chunk of [...reads(bytes, cuts), epilogue]) {
    const borrowed = Buffer.from(chunk);
    decoder.feed(borrowed);
    for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
      const inflation = inflater?.seen[inflations.length];
      if (inflation !== undefined) inflations.push({ ...inflation, index: events.length });
      events.push(describeEvent(event));
    }
    borrowed.fill(0xaa);
  }
  return { events, inflations };
}
