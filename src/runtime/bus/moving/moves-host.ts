/** The part of a thread's bus that moves of subscribers use. */
import type { AudienceOwner, Subscriber } from "../audience.ts";
import type { Link } from "../link.ts";
import type { Topic, TopicIndex } from "../topic-index.ts";
import type { Encoding } from "../variants.ts";
import type { MovingSubscribers } from "./moving-subscribers.ts";

/** Preparations of a bus's owner for subscribers that are to come. */
export interface ComingPreparation {
  /** Resolves when everything is prepared. A rejection calls the move off. */
  readonly prepared: Promise<unknown>;
  /** The subscribers have arrived, or the move is called off. */
  ended(): void;
}

export interface MovesHost {
  /** Life of this thread. */
  readonly life: number;
  readonly topics: TopicIndex<Link>;
  readonly audience: AudienceOwner;
  links(): Link[];
  /**
   * Adds subscribers that are coming: their topic is wanted from now on. Resolves when messages of other nodes arrive.
   */
  beginMoving(topic: Topic<Link>, subscribers: MovingSubscribers): Promise<unknown>;
  /** Removes subscribers that were leaving or coming. Without others the topic isn't wanted any more. */
  endMoving(topic: Topic<Link>, subscribers: MovingSubscribers): void;
  subscribe(topic: string, subscriber: Subscriber, encode: Encoding): unknown;
  /** A message to subscribers that are coming was dropped. */
  dropped(): void;
  /** @param wanted resolves when messages of other nodes arrive */
  subscribersComing(
    from: number,
    move: number,
    luggage: unknown,
    wanted: Promise<unknown>,
  ): ComingPreparation | undefined;
}
