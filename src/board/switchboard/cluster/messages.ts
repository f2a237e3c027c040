/**
 * The control messages between the boards of a cluster, as JSON, and the check of each that arrives. Whoever can write
 * to the engine can send such messages, so nothing in them is trusted before `parseMessage`.
 */
import type { ErrorReport } from "../../../errors.ts";
import { type Address, isAddress } from "../../../runtime/actor/address.ts";
import { MAX_MAIL_BYTES } from "../../../runtime/mail/packed-mail.ts";
import { MAX_INT32 } from "../../../wire/handshake/option-check.ts";
import { isWireCloseCode, MAX_REASON_BYTES } from "../../../wire/protocol/close-code.ts";

/** Mail to an actor of another node. */
export interface MailRequest {
  readonly kind: "tell" | "ask";
  readonly to: Address;
  readonly from?: Address | undefined;
  /** The mail, packed, in base64. */
  readonly mail: string;
  /** Time that the outcome may take, in ms. */
  readonly timeoutMs: number;
}

/** Question about the connections of another node. */
export type NodeQuery =
  | {
      readonly kind: "list";
      readonly shard?: number | undefined;
      readonly cursor?: string | undefined;
      readonly limit: number;
    }
  | { readonly kind: "disconnect"; readonly address: Address; readonly code: number; readonly reason: string }
  | {
      readonly kind: "survey";
      readonly actor?: string | undefined;
      /** The question, packed, in base64. */
      readonly question: string;
      /** Time that the shards have, in ms. */
      readonly timeoutMs: number;
    };

export type ClusterRequest = MailRequest | NodeQuery;

/** Answer of one shard to a survey: a value, packed, in base64, or an error. */
export interface PackedAnswer {
  readonly shard: number;
  readonly answer?: string | undefined;
  readonly error?: ErrorReport | undefined;
}

/** Reply to a request. */
export type ClusterReply =
  /** Outcomes of mail. */
  | { readonly kind: "accepted" | "full" | "gone" | "expired" }
  | { readonly kind: "answered"; readonly mail: string }
  /** The connections, serialized by `node:v8`, in base64: sessions are any data that can be cloned. */
  | { readonly kind: "page"; readonly connections: string; readonly cursor?: string | undefined }
  | { readonly kind: "disconnected"; readonly wasOpen: boolean }
  | { readonly kind: "surveyed"; readonly answers: readonly PackedAnswer[] }
  /** The request failed; of an ask: the actor failed. */
  | { readonly kind: "failed"; readonly error: ErrorReport };

/** Node that a message is for. A node gets messages to others whose connections have come to it. */
interface Addressed {
  /** Id of the node. Default: the node that gets the message. */
  readonly to?: string | undefined;
}

export type ClusterMessage = Addressed &
  (
    | { readonly kind: "request"; readonly serial: number; readonly request: ClusterRequest }
    | { readonly kind: "reply"; readonly serial: number; readonly reply: ClusterReply }
  );

/** Number of characters that a control message may have. The largest are pages of connections. */
export const MAX_MESSAGE_LENGTH = 4 * 1024 * 1024;
/** Number of characters of the base64 in a message; the rest is for everything around. */
export const MAX_BASE64_LENGTH = MAX_MESSAGE_LENGTH - 64 * 1024;
const MAX_MAIL_LENGTH = Math.ceil(MAX_MAIL_BYTES / 3) * 4;
/** Number of characters of the texts in an error's report. */
const MAX_TEXT_LENGTH = 16 * 1024;
/** Number of characters of an actor's error code. */
const MAX_CODE_LENGTH = 256;

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const integer =
  (min: number, max: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;
const text =
  (maxLength: number): Check =>
  (value) =>
    typeof value === "string" && value.length <= maxLength;
const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);

const reason: Check = (value) => typeof value === "string" && Buffer.byteLength(value) <= MAX_REASON_BYTES;
const closeCode: Check = (value) => typeof value === "number" && isWireCloseCode(value);
const report: Check = (value) =>
  hasFields(value, {
    name: text(MAX_TEXT_LENGTH),
    message: text(MAX_TEXT_LENGTH),
    stack: optional(text(MAX_TEXT_LENGTH)),
    code: optional(text(MAX_CODE_LENGTH)),
  });

const isPackedAnswer: Check = (value) =>
  hasFields(value, {
    shard: integer(0, 1023),
    answer: optional(text(MAX_MAIL_LENGTH)),
    error: optional(report),
  });

const mail = {
  to: isAddress,
  from: optional(isAddress),
  mail: text(MAX_MAIL_LENGTH),
  timeoutMs: integer(1, MAX_INT32),
};

/** The fields of each kind of request, besides `kind`. */
const requests = {
  tell: mail,
  ask: mail,
  list: { shard: optional(integer(0, 1023)), cursor: optional(text(32)), limit: integer(1, 1_000) },
  disconnect: { address: isAddress, code: closeCode, reason },
  survey: { actor: optional(text(64)), question: text(MAX_MAIL_LENGTH), timeoutMs: integer(1, MAX_INT32) },
} satisfies Record<ClusterRequest["kind"], Record<string, Check>>;

/** The fields of each kind of reply, besides `kind`. */
const replies = {
  accepted: {},
  full: {},
  gone: {},
  expired: {},
  answered: { mail: text(MAX_MAIL_LENGTH) },
  page: { connections: text(MAX_BASE64_LENGTH), cursor: optional(text(32)) },
  disconnected: { wasOpen: (value) => typeof value === "boolean" },
  surveyed: { answers: (value) => Array.isArray(value) && value.length <= 1_024 && value.every(isPackedAnswer) },
  failed: { error: report },
} satisfies Record<ClusterReply["kind"], Record<string, Check>>;

const bodies = { request: requests, reply: replies };

/** Returns the message; undefined for a text that no board has sent. Never throws. */
export function parseMessage(json: string): ClusterMessage | undefined {
  const message = json.length <= MAX_MESSAGE_LENGTH ? parse(json) : undefined;
  const isKind: Check = (kind) => kind === "request" || kind === "reply";
  if (!hasFields(message, { kind: isKind, to: optional(text(32)), serial: isSerial })) return undefined;
  const kind = message["kind"] as "request" | "reply";
  return isBody(message[kind], bodies[kind]) ? (message as unknown as ClusterMessage) : undefined;
}

const isSerial = integer(0, Number.MAX_SAFE_INTEGER);

function isBody(body: unknown, kinds: Readonly<Record<string, Readonly<Record<string, Check>>>>): boolean {
  if (!hasFields(body, { kind: text(32) })) return false;
  const kind = body["kind"] as string;
  const checks = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  return checks !== undefined && hasFields(body, checks);
}

/** True for an object whose fields pass their checks. */
export function hasFields(value: unknown, checks: Readonly<Record<string, Check>>): value is Fields {
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(checks).every(([name, accepts]) =>
    accepts(Object.hasOwn(value, name) ? (value as Fields)[name] : undefined),
  );
}

/** Parses JSON. Returns undefined for anything else. */
export function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** Returns a report that every node takes: long texts are cut. */
export function cutReport({ name, message, stack, code }: ErrorReport): ErrorReport {
  const cut = (long: string): string => long.slice(0, MAX_TEXT_LENGTH);
  return { name: cut(name), message: cut(message), stack: stack && cut(stack), code: code?.slice(0, MAX_CODE_LENGTH) };
}
