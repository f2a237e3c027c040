/** Writes replies and pushes as JSON. Payloads are embedded as they are; zero values are left out. */
import type {
  ClientInfo,
  ConnectResult,
  Publication,
  Push,
  RefreshResult,
  Reply,
  SubscribeResult,
} from "../messages.ts";
import { wholeNumber } from "../whole-number.ts";
import { isJson } from "./validate.ts";

export function encodeReply(reply: Reply): string {
  return `{"id":${reply.id},"${reply.kind}":${resultText(reply)}}`;
}

export function encodePush(push: Push): string {
  return `{"push":${object(`${targetFields(push)},"${push.kind}":${pushText(push)}`)}}`;
}

function targetFields(push: Push): string {
  if ("id" in push && push.id !== undefined) return number("id", push.id);
  return "channel" in push ? text("channel", push.channel) : "";
}

// A function for each field: `,"key":value`, or nothing for a zero value. `object` drops the first comma.

function object(fields: string): string {
  return `{${fields.slice(1)}}`;
}

function text(key: string, value: string | undefined): string {
  return value === undefined || value === "" ? "" : `,"${key}":${JSON.stringify(value)}`;
}

function number(key: string, value: number | undefined): string {
  const whole = value === undefined ? 0 : wholeNumber(value);
  return whole === 0 ? "" : `,"${key}":${whole}`;
}

function flag(key: string, value: boolean | undefined): string {
  return value === true ? `,"${key}":true` : "";
}

function raw(key: string, value: Buffer | undefined): string {
  return value === undefined || value.length === 0 ? "" : `,"${key}":${withoutLineEnds(value).toString()}`;
}

function entries<Value>(
  key: string,
  values: Readonly<Record<string, Value>> | undefined,
  write: (value: Value) => string,
): string {
  const record = values === undefined ? "{}" : recordText(values, write);
  return record === "{}" ? "" : `,"${key}":${record}`;
}

function recordText<Value>(values: Readonly<Record<string, Value>>, write: (value: Value) => string): string {
  let fields = "";
  for (const name of Object.keys(values)) fields += `,${JSON.stringify(name)}:${write(values[name] as Value)}`;
  return object(fields);
}

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Removes the line ends of a payload. In JSON, raw line ends stand only between tokens and mean nothing. A newline
 * would end the message; a carriage return would end the line of an event stream (SSE).
 */
export function withoutLineEnds(payload: Buffer): Buffer {
  if (!payload.includes(NEWLINE) && !payload.includes(CARRIAGE_RETURN)) return payload;
  return payload.filter((byte) => byte !== NEWLINE && byte !== CARRIAGE_RETURN) as Buffer;
}

function resultText(reply: Reply): string {
  switch (reply.kind) {
    case "error": {
      const { code, message, temporary } = reply.error;
      return object(number("code", code) + text("message", message) + flag("temporary", temporary));
    }
    case "connect":
      return connectText(reply.result);
    case "subscribe":
      return subscribeText(reply.result);
    case "unsubscribe":
    case "publish":
      return "{}";
    case "presence":
      return `{"presence":${recordText(reply.result.presence, infoText)}}`;
    case "presence_stats":
      return `{"num_clients":${reply.result.num_clients},"num_users":${reply.result.num_users}}`;
    case "history": {
      const { publications, epoch, offset } = reply.result;
      return `{"publications":[${publications.map(publicationText).join()}],"epoch":${JSON.stringify(epoch)},"offset":${offset}}`;
    }
    case "rpc":
      return object(raw("data", reply.result.data));
    case "refresh":
    case "sub_refresh":
      return refreshText(reply.result);
  }
}

function connectText(result: ConnectResult): string {
  return object(
    text("client", result.client) +
      text("version", result.version) +
      flag("expires", result.expires) +
      number("ttl", result.ttl) +
      raw("data", result.data) +
      entries("subs", result.subs, subscribeText) +
      number("ping", result.ping) +
      flag("pong", result.pong) +
      text("session", result.session) +
      text("node", result.node) +
      number("time", result.time),
  );
}

function subscribeText(result: SubscribeResult): string {
  const { publications } = result;
  return object(
    flag("expires", result.expires) +
      number("ttl", result.ttl) +
      flag("recoverable", result.recoverable) +
      text("epoch", result.epoch) +
      (publications?.length ? `,"publications":[${publications.map(publicationText).join()}]` : "") +
      flag("recovered", result.recovered) +
      number("offset", result.offset) +
      flag("positioned", result.positioned) +
      raw("data", result.data) +
      flag("was_recovering", result.was_recovering) +
      flag("delta", result.delta) +
      number("id", result.id),
  );
}

function refreshText({ client, version, expires, ttl }: RefreshResult): string {
  return object(text("client", client) + text("version", version) + flag("expires", expires) + number("ttl", ttl));
}

function infoText({ user, client, conn_info, chan_info }: ClientInfo): string {
  const names = `,"user":${JSON.stringify(user)},"client":${JSON.stringify(client)}`;
  return object(names + info("conn_info", conn_info) + info("chan_info", chan_info));
}

/**
 * Info about a client that came in binary is sent as a string in Base64, as in the HTTP API: others must get the other
 * fields.
 */
function info(key: string, value: Buffer | undefined): string {
  return raw(key, value === undefined || value.length === 0 || isJson(value) ? value : base64Text(value));
}

function base64Text(value: Buffer): Buffer {
  return Buffer.from(`"${value.toString("base64")}"`);
}

/** Returns whether the payloads of a reply are JSON. Without that the client couldn't read the message. */
export function canEncodeReply(reply: Reply): boolean {
  switch (reply.kind) {
    case "connect":
      return (
        isPayload(reply.result.data) && Object.values(reply.result.subs ?? {}).every(({ data }) => isPayload(data))
      );
    case "subscribe":
    case "rpc":
      return isPayload(reply.result.data);
    case "history":
      return reply.result.publications.every(({ data }) => isPayload(data));
    default:
      return true;
  }
}

/** Returns whether the payload of a push is JSON. Publications have a check of their own. */
export function canEncodePush(push: Push): boolean {
  switch (push.kind) {
    case "subscribe":
      return isPayload(push.result.data);
    case "message":
      return isPayload(push.data);
    default:
      return true;
  }
}

function isPayload(data: Buffer | undefined): boolean {
  return data === undefined || data.length === 0 || isJson(data);
}

/** Fields of a publication other than `data` and `offset`, each with a comma before it. */
export function publicationFields(publication: Omit<Publication, "data" | "offset">): string {
  return (
    (publication.info === undefined ? "" : `,"info":${infoText(publication.info)}`) +
    entries("tags", publication.tags, JSON.stringify) +
    flag("delta", publication.delta) +
    number("time", publication.time) +
    text("channel", publication.channel)
  );
}

function publicationText(publication: Publication): string {
  return object(raw("data", publication.data) + number("offset", publication.offset) + publicationFields(publication));
}

function pushText(push: Push): string {
  switch (push.kind) {
    case "pub":
      return publicationText(push.pub);
    case "join":
    case "leave":
      return `{"info":${infoText(push.info)}}`;
    case "unsubscribe":
      return object(number("code", push.code) + text("reason", push.reason));
    case "subscribe": {
      const { recoverable, epoch, offset, positioned, data } = push.result;
      return object(
        flag("recoverable", recoverable) +
          text("epoch", epoch) +
          number("offset", offset) +
          flag("positioned", positioned) +
          raw("data", data),
      );
    }
    case "message":
      return object(raw("data", push.data));
    case "disconnect":
      return object(number("code", push.code) + text("reason", push.reason) + flag("reconnect", push.reconnect));
    case "refresh":
      return object(flag("expires", push.expires) + number("ttl", push.ttl));
  }
}
