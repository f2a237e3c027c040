/** The check of what an actor says when it subscribes. `Subscriptions` calls it. */
import { SwitchboardError } from "../../errors.ts";
import { checkFlag, checkNames } from "../../wire/handshake/option-check.ts";
import { isSlowConsumerPolicy, SLOW_CONSUMER_POLICIES } from "../../wire/protocol/slow-consumer-policy.ts";
import { isPosition } from "../streams/position.ts";
import type { SubscribeOptions } from "../streams/subscribe.ts";
import type { TopicRule } from "../streams/topic-rules.ts";
import { argument, noHistory, noPresence, notAPosition } from "./topics.ts";

const SUBSCRIBE_OPTIONS = [
  "since",
  "encode",
  "deliverAfter",
  "slowConsumerPolicy",
  "hidden",
  "user",
  "info",
  "presenceChanges",
] satisfies (keyof SubscribeOptions)[];

/** Bytes of a user, in UTF-8. */
const MAX_USER_BYTES = 255;
/** Bytes of the JSON of `info`, in UTF-8. */
export const MAX_INFO_BYTES = 4_096;

/** Throws for options that are unknown or make no sense, or that the topic has no use for. */
export function checkSubscribeOptions(topic: string, rule: TopicRule | undefined, options: SubscribeOptions): void {
  checkNames("subscribe", options, SUBSCRIBE_OPTIONS, "ERR_ARGUMENT");
  const { since, encode, deliverAfter, slowConsumerPolicy, hidden, user, info, presenceChanges } = options;
  checkFlag("subscribe", "presenceChanges", presenceChanges);
  checkFlag("subscribe", "hidden", hidden);
  if (slowConsumerPolicy !== undefined && !isSlowConsumerPolicy(slowConsumerPolicy)) {
    throw argument(`slowConsumerPolicy is one of ${SLOW_CONSUMER_POLICIES.join(", ")}`);
  }
  if (encode !== undefined && typeof encode !== "function") throw argument("encode takes a function");
  if (deliverAfter !== undefined && !(deliverAfter instanceof Promise)) throw argument("deliverAfter takes a promise");
  if (since !== undefined) {
    if (rule?.history === undefined) throw noHistory(topic);
    if (since !== "latest" && !isPosition(since)) throw notAPosition("since");
  }
  if (user === undefined && info === undefined && presenceChanges !== true) return;
  if (rule?.presence === undefined) throw noPresence(topic);
  if (presenceChanges === true && !rule.presence.changes) {
    throw argument(`presenceChanges: changes of presence are switched off for the topic ${JSON.stringify(topic)}`);
  }
  if (user !== undefined && !isUser(user)) {
    throw argument(`user takes a string of 1 to ${MAX_USER_BYTES} bytes`);
  }
  const infoBytes = info === undefined ? 0 : Buffer.byteLength(toJson(info));
  if (infoBytes > MAX_INFO_BYTES)
    throw argument(`info takes at most ${MAX_INFO_BYTES} bytes of JSON, got ${infoBytes}`);
}

/** Half of a surrogate pair has no UTF-8: two users would become one. */
function isUser(user: unknown): boolean {
  return typeof user === "string" && user !== "" && user.isWellFormed() && Buffer.byteLength(user) <= MAX_USER_BYTES;
}

/** Returns the JSON of `info`. Throws `ERR_ARGUMENT`. */
export function toJson(info: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(info);
  } catch (cause) {
    throw new SwitchboardError("ERR_ARGUMENT", "info takes a value that JSON can hold", { cause });
  }
  if (json === undefined) throw argument(`info takes a value that JSON can hold, got ${typeof info}`);
  return json;
}
