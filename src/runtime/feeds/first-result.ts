/**
 * The result of `subscribe`: the first place of a subscription, and the publications that it missed. `Feed` asks for
 * it.
 */
import type { HistoryRead } from "../streams/engine.ts";
import type { Position } from "../streams/position.ts";
import { publicationsOf, type StreamRecord } from "../streams/publication.ts";
import { recover } from "../streams/recovery.ts";
import type { Subscribed, SubscribeOptions } from "../streams/subscribe.ts";
import type { StreamSubscription } from "./stream-subscription.ts";

/** The part of a feed that the first result uses. */
export interface FirstResultFeed {
  readonly topic: string;
  /** Place of the feed in its stream. */
  readonly place: Position;
  /** Reads everything after an offset. Subscriptions that ask within a moment share a read. */
  readShared(offset: number): Promise<HistoryRead>;
  /** Reads the newest publication. */
  readNewest(): Promise<HistoryRead>;
  /**
   * Moves a subscription to the feed's place, and returns the publications between. Does nothing if these aren't
   * remembered.
   */
  takeRecent(subscription: StreamSubscription): readonly StreamRecord[];
}

/** Moves a subscription to its first place, and returns the result. Rejects if the engine can't be read. */
export async function firstResult(
  subscription: StreamSubscription,
  since: SubscribeOptions["since"],
  feed: FirstResultFeed,
): Promise<Subscribed> {
  if (since === "latest") return latest(subscription, feed);
  const { place } = feed;
  const isHere = since?.offset === place.offset && (since.epoch === "" || since.epoch === place.epoch);
  if (since !== undefined && !isHere) return resume(subscription, since, feed);
  subscription.moveTo(place);
  return { wasRecovering: isHere, recovered: isHere, publications: [], position: place };
}

async function resume(subscription: StreamSubscription, since: Position, feed: FirstResultFeed): Promise<Subscribed> {
  const read = await feed.readShared(since.offset);
  const { recovered, records } = recover(since, read);
  subscription.moveTo(read.top);
  if (recovered) {
    const later = feed.takeRecent(subscription);
    return recoveredWith(later.length === 0 ? records : [...records, ...later], subscription, feed);
  }
  // The caller is told of the loss, so deliveries begin at the feed's place.
  if (subscription.isBefore(feed.place)) subscription.moveTo(feed.place);
  return { wasRecovering: true, recovered, publications: [], position: subscription.place };
}

async function latest(subscription: StreamSubscription, feed: FirstResultFeed): Promise<Subscribed> {
  const { top, records } = await feed.readNewest();
  subscription.moveTo(top);
  const newest = feed.takeRecent(subscription).at(-1) ?? records.find(({ offset }) => offset === top.offset);
  if (newest !== undefined) return recoveredWith([newest], subscription, feed);
  return { wasRecovering: true, recovered: false, publications: [], position: top };
}

function recoveredWith(
  records: readonly StreamRecord[],
  { place }: StreamSubscription,
  { topic }: FirstResultFeed,
): Subscribed {
  const publications = publicationsOf(topic, place.epoch, records);
  return { wasRecovering: true, recovered: true, publications, position: place };
}
