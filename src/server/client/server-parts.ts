/** The parts of a shard that the parts of a client use. `ClientServer` implements them. */
import type { TokenVerifier } from "../auth/token-verifier.ts";
import type { ChannelsConfig } from "../channels/channel-options.ts";
import type { Channels } from "../channels/channels.ts";
import type { ClientConfig } from "../config/config.ts";
import type { Backend } from "./backend.ts";
import type { ClientObserver } from "./client-observer.ts";
import type { ClientSubscription } from "./client-subscription.ts";
import type { PublicationEncoder } from "./publication-encoder.ts";

export interface ServerParts {
  readonly config: ClientConfig;
  readonly limits: ChannelsConfig;
  readonly channels: Channels;
  /** The application. */
  readonly backend: Backend;
  /** Version that clients are told. */
  readonly version: string;
  readonly connectionTokens: TokenVerifier;
  readonly subscriptionTokens: TokenVerifier;
  readonly encoder: PublicationEncoder;
  readonly observer: ClientObserver | undefined;
  readonly registry: {
    /** Counts a subscription. */
    subscribed(channel: string): void;
    unsubscribed(channel: string): void;
    /** Returns the number that stands for a channel in pushes: the same in all shards. */
    numberOf(channel: string): number;
    /** Returns a record that may stand for the given one, so that equal subscriptions take memory once. */
    shared(record: ClientSubscription): ClientSubscription;
  };
}
