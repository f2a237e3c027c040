/** The record of one subscription of a client. `ClientSubscriptions` keeps it; equal ones in a shard are one object. */
import type { Channel } from "../channels/channels.ts";
import type { SubscriptionRights } from "../channels/subscription-rights.ts";
import type { FilterNode } from "../protocol/messages.ts";
import type { PublicationEncode } from "./publication-encoder.ts";

export interface ClientSubscription {
  readonly channel: Channel;
  readonly isServerSide: boolean;
  readonly rights: SubscriptionRights;
  readonly info: Buffer | undefined;
  /** Number of the channel in pushes; undefined if the client takes names. */
  readonly id: number | undefined;
  /** True if the client brings a new token when the subscription expires. */
  readonly byToken: boolean;
  readonly expires: boolean;
  /** Publications that the client doesn't get are left out; undefined: it gets all. */
  readonly filter: FilterNode | undefined;
  readonly encode: PublicationEncode;
}
