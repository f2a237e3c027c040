/** The claims of tokens, read from the payload of a token whose signature is good. */
import type { SubscriptionOverride } from "../channels/subscription-rights.ts";
import { bigIntegerOf, isObject } from "./compact-token.ts";

type Claims = Readonly<Record<string, unknown>>;

/** Claims of a token, or of one entry of its `subs`, about one subscription. */
export interface SubscriptionClaims {
  /** Shown to others as `chan_info`. JSON text, or binary if it came as `b64info`. */
  readonly info?: Buffer | undefined;
  /** Data for the client, like `info`. */
  readonly data?: Buffer | undefined;
  readonly override?: SubscriptionOverride | undefined;
}

/** Claims of a connection token: the user, and the rights and data of the connection. */
export interface ConnectionToken {
  /** User id; "" is anonymous. */
  readonly user: string;
  /** Unix time in seconds at which the connection expires. Undefined: never. */
  readonly expireAt: number | undefined;
  /** Shown to others as `conn_info`. JSON text, or binary if it came as `b64info`. */
  readonly info: Buffer | undefined;
  /** Kept by the server. JSON text. */
  readonly meta: Buffer | undefined;
  /** Server-side subscriptions by channel: `subs`, or else `channels`. */
  readonly subs: Readonly<Record<string, SubscriptionClaims>>;
}

/** Claims of a subscription token. `isTokenFor` says whether the token is for a subscription. */
export interface SubscriptionToken extends SubscriptionClaims {
  readonly user: string;
  readonly channel: string;
  /** Client id. Undefined: any client of the user. */
  readonly client: string | undefined;
  /** Unix time in seconds at which the subscription expires. Undefined: never. */
  readonly expireAt: number | undefined;
}

/** True if a token is for this client and channel. If not, the client is closed with 3500. */
export function isTokenFor(token: SubscriptionToken, channel: string, user: string, client: string): boolean {
  if (token.channel !== channel || token.user !== user) return false;
  return token.client === undefined || token.client === client;
}

/** A claim has a wrong type or value. The message names the claim and never its value. */
export class ClaimError extends Error {}

/** Reads a connection token. `userIdClaim` names the claim with the user id. Throws `ClaimError`. */
export function readConnection(claims: Claims, userIdClaim: string): ConnectionToken {
  if (textOf(claims, "channel") !== "") throw new ClaimError("a connection token has no claim channel");
  return {
    user: userOf(claims, userIdClaim),
    expireAt: expireAtOf(claims),
    info: bytesOf(claims, "info"),
    meta: jsonOf(claims, "meta"),
    subs: subsOf(claims),
  };
}

/** Reads a subscription token. Throws `ClaimError`. */
export function readSubscription(claims: Claims, userIdClaim: string): SubscriptionToken {
  const channel = textOf(claims, "channel");
  if (channel === "") throw new ClaimError("a subscription token has the claim channel");
  return {
    user: userOf(claims, userIdClaim),
    channel,
    client: textOf(claims, "client") || undefined,
    expireAt: expireAtOf(claims),
    ...readSubscriptionClaims(claims),
  };
}

/** Returns a NumericDate (RFC 7519, section 2) in seconds; undefined if it is missing. Throws `ClaimError`. */
export function timeOf(claims: Claims, name: string): number | undefined {
  const value = claims[name] ?? undefined;
  if (value === undefined || Number.isFinite(value)) return value as number | undefined;
  throw new ClaimError(`the claim ${name} isn't a number${bigIntegerOf(value) === undefined ? "" : " below 2^53"}`);
}

function readSubscriptionClaims(claims: Claims): SubscriptionClaims {
  return { info: bytesOf(claims, "info"), data: bytesOf(claims, "data"), override: overrideOf(claims) };
}

/** A user id in `sub` is a string. Other claims of identity providers may be numbers. */
function userOf(claims: Claims, name: string): string {
  const value = claims[name];
  if (name === "sub") return textOf(claims, name);
  return Number.isSafeInteger(value) ? String(value) : (bigIntegerOf(value) ?? textOf(claims, name));
}

/** `expire_at` counts before `exp`; 0 means never. */
function expireAtOf(claims: Claims): number | undefined {
  const expireAt = timeOf(claims, "expire_at") ?? timeOf(claims, "exp");
  return expireAt === undefined || expireAt <= 0 ? undefined : Math.floor(expireAt);
}

function subsOf(claims: Claims): Record<string, SubscriptionClaims> {
  const subs = claims["subs"] ?? {};
  if (!isObject(subs)) throw new ClaimError("the claim subs isn't an object");
  const entries = Object.entries(subs).map(([channel, sub]) => {
    if (!isObject(sub)) throw new ClaimError("the claim subs has something that isn't an object");
    return [channel, readSubscriptionClaims(sub)] as const;
  });
  // An own property, also for a channel with the name __proto__.
  return Object.fromEntries(entries.length > 0 ? entries : channelsOf(claims).map((channel) => [channel, {}]));
}

function channelsOf(claims: Claims): string[] {
  const channels = claims["channels"] ?? [];
  const areNames = Array.isArray(channels) && channels.every((channel) => typeof channel === "string");
  if (!areNames) throw new ClaimError("the claim channels isn't an array of strings");
  return channels;
}

const OVERRIDES = {
  presence: "presence",
  join_leave: "joinLeave",
  force_push_join_leave: "forcePushJoinLeave",
  force_recovery: "forceRecovery",
  force_positioning: "forcePositioning",
} as const;

/** Each option is `{ "value": true }` or `{ "value": false }`. */
function overrideOf(claims: Claims): SubscriptionOverride | undefined {
  const override = claims["override"] ?? undefined;
  if (override === undefined) return undefined;
  if (!isObject(override)) throw new ClaimError("the claim override isn't an object");
  const options = Object.entries(OVERRIDES).flatMap(([claim, option]) => {
    const given = override[claim] ?? undefined;
    if (given === undefined) return [];
    const value = isObject(given) ? (given["value"] ?? false) : undefined;
    if (typeof value !== "boolean") throw new ClaimError(`the claim override.${claim} isn't {"value": true or false}`);
    return [[option, value]];
  });
  return Object.fromEntries(options);
}

/** A claim that is missing is "". */
function textOf(claims: Claims, name: string): string {
  const value = claims[name] ?? "";
  // Half of a surrogate pair has no UTF-8: two users would become one.
  if (typeof value === "string" && value.isWellFormed()) return value;
  throw new ClaimError(`the claim ${name} isn't a string`);
}

/** `b64info` counts before `info`, and `b64data` before `data`. */
function bytesOf(claims: Claims, name: "info" | "data"): Buffer | undefined {
  const base64 = textOf(claims, `b64${name}`);
  if (base64 === "") return jsonOf(claims, name);
  const bytes = Buffer.from(base64, "base64");
  if (bytes.toString("base64") !== base64) throw new ClaimError(`the claim b64${name} isn't Base64`);
  return bytes;
}

/** Text of a claim that may be any JSON. */
function jsonOf(claims: Claims, name: string): Buffer | undefined {
  const value = claims[name] ?? undefined;
  return value === undefined ? undefined : Buffer.from(JSON.stringify(value));
}
