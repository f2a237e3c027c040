/** Reads the application's answers to questions. Field names are those of Centrifugo's proxies. */
import type {
  Answer,
  ConnectionGrant,
  PublishGrant,
  Renewal,
  SubscriptionGrant,
  SubscriptionOverride,
} from "../client/backend.ts";
import { DISCONNECTS, fitReason } from "../protocol/codes.ts";
import { Fields, WrongField } from "./answer-fields.ts";
import { Nonsense } from "./endpoint.ts";

/** Error codes of answers. From 400 on they are the application's own; SDKs know the meaning of those below. */
const ERROR_CODES = { min: 100, max: 1_999 };

/** Close codes of answers. From 4000 on they are the application's own; SDKs know the meaning of those below. */
const CLOSE_CODES = { min: 3_000, max: 4_999 };

/** Makes a reader of answers. `readResult` gets undefined where the result is `null`. */
export function answerReader<Result>(
  readResult: (result: Fields | undefined) => Answer<Result>,
): (body: Buffer) => Answer<Result> | Nonsense {
  return (body) => {
    try {
      const answer = Fields.of(body);
      const refusal = refusalIn(answer);
      if (refusal !== undefined) return refusal;
      if (!answer.has("result")) return new Nonsense("its answer has no result, error or disconnect");
      return readResult(answer.object("result"));
    } catch (error) {
      if (error instanceof WrongField) return new Nonsense(error.message);
      throw error;
    }
  };
}

function refusalIn(answer: Fields): Answer<never> | undefined {
  const disconnect = answer.object("disconnect");
  if (disconnect !== undefined) {
    const code = codeIn(disconnect, "disconnect", CLOSE_CODES);
    return { kind: "disconnect", code, reason: fitReason(disconnect.string("reason") ?? "") };
  }
  const error = answer.object("error");
  if (error === undefined) return undefined;
  const code = codeIn(error, "error", ERROR_CODES);
  const refusal = { kind: "error", code, message: error.string("message") ?? "" } as const;
  return error.boolean("temporary") === true ? { ...refusal, temporary: true } : refusal;
}

function codeIn(fields: Fields, name: string, { min, max }: { min: number; max: number }): number {
  const code = fields.count("code") ?? 0;
  if (code < min || code > max) throw new WrongField(`${name}.code in its answer has to be from ${min} to ${max}`);
  return code;
}

const granted = <Result>(result: Result): Answer<Result> => ({ kind: "result", result });

/** 0 says "never", as leaving it out does. */
const expiryIn = (fields: Fields): number | undefined => fields.count("expire_at") || undefined;

/**
 * Reads the answer to `connect`.
 *
 * @param anonymous true if clients without a user may connect: `"result": null` lets them in
 */
export function connectReader(anonymous: boolean): (body: Buffer) => Answer<ConnectionGrant> | Nonsense {
  return answerReader<ConnectionGrant>((result) => {
    if (result === undefined) {
      return anonymous ? granted({ user: "" }) : { kind: "disconnect", ...DISCONNECTS.badRequest };
    }
    const channels = (result.list("channels") ?? []).map((channel) => [channel, {}] as const);
    const named = result.object("subs");
    const subs = named?.names.map((channel) => [channel, serverSideGrant(named.object(channel))] as const) ?? [];
    return granted({
      user: result.string("user") ?? "",
      expireAt: expiryIn(result),
      info: result.payload("info"),
      data: result.payload("data"),
      meta: metaIn(result),
      subs: channels.length + subs.length === 0 ? undefined : Object.fromEntries([...channels, ...subs]),
    });
  });
}

/** A server-side subscription ends with its connection: it has no expiry of its own. */
function serverSideGrant(fields: Fields | undefined): SubscriptionGrant {
  if (fields === undefined) return {};
  return { info: fields.payload("info"), data: fields.payload("data"), override: overrideIn(fields) };
}

export const readSubscribeAnswer = answerReader<SubscriptionGrant>((result) => {
  if (result === undefined) return granted({});
  return granted({ ...serverSideGrant(result), expireAt: expiryIn(result) });
});

function overrideIn(fields: Fields): SubscriptionOverride | undefined {
  const override = fields.object("override");
  if (override === undefined) return undefined;
  const flag = (name: string): boolean | undefined => {
    const wrapped = override.object(name);
    return wrapped === undefined ? undefined : (wrapped.boolean("value") ?? false);
  };
  return {
    presence: flag("presence"),
    joinLeave: flag("join_leave"),
    forcePushJoinLeave: flag("force_push_join_leave"),
    forceRecovery: flag("force_recovery"),
    forcePositioning: flag("force_positioning"),
  };
}

export const readPublishAnswer = answerReader<PublishGrant>((result) => {
  if (result === undefined) return granted({});
  return granted({
    data: result.payload("data"),
    skipHistory: result.boolean("skip_history"),
    tags: result.strings("tags"),
    idempotencyKey: result.string("idempotency_key") || undefined,
    delta: result.boolean("delta"),
  });
});

/** An `rpc` may answer `null`: it is the one payload for which `null` isn't "left out". */
export const readRpcAnswer = answerReader<{ readonly data?: Buffer | undefined }>((result) => {
  if (result === undefined) return granted({});
  const isNull = result.has("data") && result.raw("data") === undefined;
  return granted({ data: result.payload("data") ?? (isNull ? Buffer.from("null") : undefined) });
});

const readRenewal = answerReader<Renewal>((result) => {
  if (result === undefined || result.boolean("expired") === true) return granted({ expired: true });
  return granted({ expireAt: expiryIn(result), info: result.payload("info"), meta: metaIn(result) });
});

/** Reads the answer to `refresh` and `sub_refresh`. An error isn't an answer to them that clients know: it ends. */
export function readRefreshAnswer(body: Buffer): Answer<Renewal> | Nonsense {
  const answer = readRenewal(body);
  if (answer instanceof Nonsense || answer.kind !== "error") return answer;
  return granted({ expired: true });
}

function metaIn(result: Fields): Buffer | undefined {
  const meta = result.raw("meta");
  return meta === undefined ? undefined : Buffer.from(meta);
}
