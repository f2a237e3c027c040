/** The delivery of a message to the subscribers of a topic in one thread, with and without an `encode` of their own. */
import type { Frame } from "../../wire/protocol/frame.ts";
import { encoded } from "../streams/publication.ts";
import {
  type Audience,
  type AudienceOwner,
  addResult,
  deliverTo,
  type LocalResult,
  type Subscriber,
} from "./audience.ts";
import type { Encoding, Variants } from "./variants.ts";

/** The subscribers of a topic. */
export interface Receivers extends Audience {
  /** Subscribers with an `encode`. */
  encoded: Variants<Subscriber> | undefined;
}

/** Gives a message to every receiver but `except`. */
export function deliverToAll(
  receivers: Receivers,
  frame: Frame,
  owner: AudienceOwner,
  except: Subscriber | undefined,
): LocalResult {
  const result = deliverTo(receivers, frame, owner, except);
  if (receivers.encoded === undefined) return result;
  const { name } = receivers;
  const record = { offset: 0, timeMs: Date.now(), frame };
  const failed = (subscriber: Subscriber, error: unknown): void => subscriber.encodeFailed?.(error, name);
  const frameOf = (encode: Encoding): Frame | undefined => encoded(name, "", record, encode);
  addResult(result, receivers.encoded.deliver(frameOf, owner, failed, except));
  return result;
}
