/**
 * The answer to a client whose subscription begins: its position, and the publications that it missed.
 * `ClientSubscriptions` asks for it.
 */
import type { Publication } from "../../runtime/streams/publication.ts";
import type { Subscribed } from "../../runtime/streams/subscribe.ts";
import { hasHistory } from "../channels/channel-options.ts";
import type { SubscriptionWishes } from "../channels/subscription-rights.ts";
import type {
  Codec,
  FilterNode,
  Publication as ProtocolPublication,
  SubscribeRequest,
  SubscribeResult,
} from "../protocol/messages.ts";
import { decodeStored } from "../protocol/stored-publication.ts";
import { matches } from "../protocol/tag-filter.ts";
import type { ClientSubscription } from "./client-subscription.ts";
import { canGet, deltaData } from "./publication-encoder.ts";
import type { ServerParts } from "./server-parts.ts";

/** The fields of a client's `subscribe` that concern the subscription itself. */
export type Begin = SubscriptionWishes & Pick<SubscribeRequest, "recover" | "epoch" | "offset" | "flag" | "tf">;

/** The wishes of a server-side subscription that the client hasn't had before. */
export const NO_BEGIN: Begin = Object.freeze({
  positioned: false,
  recoverable: false,
  join_leave: false,
  delta: "",
  recover: false,
  epoch: "",
  offset: 0,
  flag: 0,
  tf: undefined,
});

/** A subscription that begins. */
export type BeginningSubscription = Pick<ClientSubscription, "channel" | "rights"> & {
  /** Sets the publication that the first delta is made against. */
  base(publication: Publication): void;
};

interface AnsweredClient {
  readonly codec: Codec;
  readonly server: Pick<ServerParts, "limits">;
}

/** Recovered is only what is complete, fits the limit, and can be told in the client's codec. */
export function answerOf(
  { codec, server }: AnsweredClient,
  subscription: BeginningSubscription,
  { begin, recovers }: { readonly begin: Begin; readonly recovers: boolean },
  { position, publications, recovered }: Subscribed,
): SubscribeResult {
  const { rights, channel } = subscription;
  const delta = rights.delta === undefined ? {} : { delta: true };
  if (!hasHistory(channel.options) || position === undefined || !rights.positioned) return delta;
  const state = { positioned: true, epoch: position.epoch, ...(rights.recoverable ? { recoverable: true } : {}) };
  const asked = recovers ? { was_recovering: true } : {};
  const isCache = rights.recoveryMode === "cache";
  const missed = isCache ? missedInCache(begin, recovers, publications) : publications;
  const fits = missed.length <= server.limits.recoveryMaxPublicationLimit;
  const gets = missed.every((publication) => canGet(codec, publication));
  const isRecovered = (recovers || rights.autoCacheRecover) && recovered && fits && gets;
  if (!isRecovered) return { ...state, ...asked, ...delta, offset: position.offset };
  const newest = missed.at(-1);
  if (newest !== undefined) subscription.base(newest);
  const shown = missed.flatMap((publication) => shownOf(publication, subscription, begin.tf, codec));
  const offset = missed.length === 0 || isCache ? position.offset : begin.offset;
  const flags = recovers ? { recovered: true } : {};
  return { ...state, ...asked, ...flags, ...delta, offset, ...(shown.length === 0 ? {} : { publications: shown }) };
}

/** A client in cache mode that has the newest publication already gets nothing. */
function missedInCache(begin: Begin, recovers: boolean, publications: readonly Publication[]): readonly Publication[] {
  const newest = publications.at(-1);
  const has = recovers && newest?.offset === begin.offset && newest.epoch === begin.epoch;
  return newest === undefined || has ? [] : [newest];
}

/** A publication in the answer; nothing for one that the filter keeps back. */
function shownOf(
  publication: Publication,
  { rights }: BeginningSubscription,
  filter: FilterNode | undefined,
  codec: Codec,
): ProtocolPublication[] {
  const { data, info, tags, time } = decodeStored(publication.message);
  if (filter !== undefined && !matches(filter, tags ?? {})) return [];
  const shown = rights.delta === undefined ? data : deltaData(codec, data);
  return [{ data: shown, info, tags, time, offset: publication.offset }];
}
