/** Reads the publications that a subscription missed, page by page. `FeedSubscriptions` begins it. */
import { setTimeout as delay } from "node:timers/promises";
import type { HistoryRead } from "../../streams/engine.ts";
import type { StreamRecord } from "../../streams/publication.ts";
import type { StreamSubscription } from "../stream-subscription.ts";

/** Number of publications of the largest page. */
const MAX_PAGE = 256;

/** The part of a feed that a subscription uses while it catches up. */
export interface CatchUpFeed {
  /** Time before the history is read again after a read that failed, in ms. */
  readonly retryMs: number;
  /** Remembers what is published during a read. */
  startJoining(subscription: StreamSubscription): void;
  /** Lets a subscription be behind. Nothing is remembered for it until the next `startJoining`. */
  fallBehind(subscription: StreamSubscription): void;
  readPage(since: number, limit: number): Promise<HistoryRead>;
  deliverAll(subscription: StreamSubscription, records: readonly StreamRecord[]): boolean;
  settle(subscription: StreamSubscription): void;
  lose(subscription: StreamSubscription): void;
}

/**
 * Reads all publications that a subscription missed. A subscription that is behind reads a page whenever its peer has
 * read the page before. Never rejects.
 */
export async function catchUp(subscription: StreamSubscription, feed: CatchUpFeed): Promise<void> {
  let page = MAX_PAGE;
  while (!subscription.hasEnded) {
    if (subscription.phase === "behind") await subscription.subscriber.whenDrained();
    if (subscription.hasEnded) return;
    feed.startJoining(subscription);
    const before = subscription.offset;
    const read = await readPage(before, page, feed);
    if (subscription.hasEnded) return;
    if (read === undefined) {
      feed.fallBehind(subscription);
      await delay(feed.retryMs, undefined, { ref: false });
      continue;
    }
    if (!continues(subscription, read)) {
      feed.lose(subscription);
      return;
    }
    const all = feed.deliverAll(subscription, read.records);
    if (subscription.hasEnded) return;
    if (all && subscription.thins) subscription.offset = read.top.offset;
    if (all && subscription.offset === read.top.offset) {
      feed.settle(subscription);
      return;
    }
    // A page that the peer has no room for was read in vain: the next one is as large as the part that fitted.
    page = all ? Math.min(2 * page, MAX_PAGE) : Math.max(1, subscription.offset - before);
    if (!all || subscription.phase === "behind") feed.fallBehind(subscription);
  }
}

/** Returns undefined if the engine can't be read now. */
async function readPage(since: number, limit: number, feed: CatchUpFeed): Promise<HistoryRead | undefined> {
  try {
    return await feed.readPage(since, limit);
  } catch {
    return undefined;
  }
}

/** True if a page follows on the subscription's place without a hole, as far as the page goes. */
function continues({ epoch, offset, thins }: StreamSubscription, { top, records }: HistoryRead): boolean {
  if (top.epoch !== epoch || top.offset < offset) return false;
  if (thins) return true;
  if (records.length === 0) return top.offset === offset;
  return records.every((record, index) => record.offset === offset + 1 + index);
}
