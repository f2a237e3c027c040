/**
 * The subscribers of one topic in one thread, and how a message reaches all of them. Topics and feeds are audiences.
 */
import type { Frame } from "../../wire/protocol/frame.ts";
import type { SendResult } from "../../wire/protocol/send-result.ts";
import type { PublishResult } from "../actor/context/publish-result.ts";

/** A receiver of a topic's publishes in this thread. */
export interface Subscriber {
  /** @param group the group that this publish goes to; the subscriber joins it if it can */
  deliver(frame: Frame, topic: string, group?: SubscriberGroup): SendResult;
  /** The `encode` of a subscription threw: it has ended. */
  encodeFailed?(error: unknown, topic?: string): void;
}

/**
 * Subscribers with the same bytes queued: a publish to all of them is queued once. A subscriber leaves the group when
 * its queue differs.
 */
export interface SubscriberGroup {
  readonly size: number;
  /** Queues a frame for all. Returns false if every subscriber must be served alone. */
  append(frame: Frame): boolean;
}

export interface Audience {
  /** Topic of the subscribers. */
  readonly name: string;
  subscribers: ReadonlySet<Subscriber>;
  /** The group that got the last publish. If its size equals the number of receivers, it contains all of them. */
  group: SubscriberGroup | undefined;
  /** The subscriber that published last and is therefore not in the group. */
  absent: Subscriber | undefined;
}

export interface AudienceOwner {
  /** A message was given to `count` subscribers of this thread. */
  delivered?(count: number): void;
  /** Creates a group for subscribers of this thread. Default: every subscriber is served alone. */
  newGroup?(): SubscriberGroup;
}

/** Numbers of this thread's subscribers by the result of one message. */
export type LocalResult = Pick<PublishResult, "delivered" | "buffered" | "dropped" | "closed">;

/** Adds the numbers of `more` to `result`. */
export function addResult(result: { -readonly [Key in keyof LocalResult]: number }, more: LocalResult): void {
  result.delivered += more.delivered;
  result.buffered += more.buffered;
  result.dropped += more.dropped;
  result.closed += more.closed;
}

/** Least number of subscribers for which a group saves work. */
const MIN_GROUP_SIZE = 8;
/** Shared by audiences without any: of hundreds of thousands of topics, most have none. */
export const NO_SUBSCRIBERS: ReadonlySet<Subscriber> = new Set();

export function addSubscriber(audience: Audience, subscriber: Subscriber): void {
  if (audience.subscribers === NO_SUBSCRIBERS) audience.subscribers = new Set([subscriber]);
  else (audience.subscribers as Set<Subscriber>).add(subscriber);
}

/** Returns true if it was a subscriber. */
export function deleteSubscriber(audience: Audience, subscriber: Subscriber): boolean {
  if (audience.subscribers === NO_SUBSCRIBERS) return false;
  if (!(audience.subscribers as Set<Subscriber>).delete(subscriber)) return false;
  // After a removal, equal sizes no longer prove that group and subscribers are the same set.
  audience.group = undefined;
  return true;
}

/**
 * The last group, if all have left it. To store a group that V8 has known for long costs a subscriber no write barrier.
 */
function emptyGroup({ group }: Audience): SubscriberGroup | undefined {
  return group?.size === 0 ? group : undefined;
}

/** Gives a frame to every subscriber but `except`. */
export function deliverTo(audience: Audience, frame: Frame, owner: AudienceOwner, except?: Subscriber): LocalResult {
  const { name, subscribers } = audience;
  const result = { delivered: 0, buffered: 0, dropped: 0, closed: 0 };
  const absent = except !== undefined && subscribers.has(except) ? except : undefined;
  const receivers = subscribers.size - (absent === undefined ? 0 : 1);
  if (audience.group?.size === receivers && audience.absent === absent && audience.group.append(frame)) {
    result.delivered = receivers;
    owner.delivered?.(receivers);
    return result;
  }
  const group = receivers < MIN_GROUP_SIZE ? undefined : (emptyGroup(audience) ?? owner.newGroup?.());
  audience.group = group;
  audience.absent = absent;
  for (const subscriber of subscribers) {
    if (subscriber === absent) continue;
    const outcome = subscriber.deliver(frame, name, group);
    if (outcome === "sent") result.delivered++;
    else result[outcome]++;
  }
  owner.delivered?.(result.delivered + result.buffered + result.dropped);
  return result;
}
