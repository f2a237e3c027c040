/**
 * The methods that concern clients: `subscribe`, `unsubscribe`, `disconnect`, `refresh`, `channels`, `info` and
 * `connections`. Each asks all shards of all nodes.
 */
import { compileGlob, MAX_GLOB_LENGTH } from "../channels/glob.ts";
import type { SubscriptionOverride } from "../client/backend.ts";
import type { ClientDescription, ClientSelection, ControlAnswer, ControlQuestion } from "../client/control/control.ts";
import { DistinctCount } from "../client/control/distinct-count.ts";
import { DISCONNECTS, fitReason, UNSUBSCRIBES } from "../protocol/codes.ts";
import { ApiError, badRequest, internalError, notFound } from "./api-error.ts";
import type { ApiContext } from "./board.ts";
import { optionsOf } from "./known-channel.ts";
import type { RequestFields } from "./request-fields.ts";

const DONE = "{}";
/** Number of channels in an answer. */
const MAX_CHANNELS = 10_000;
/** Number of connections in a page. */
const MAX_PAGE = 1_000;
const DEFAULT_PAGE = 100;
const MAX_SECONDS = Number.MAX_SAFE_INTEGER;

type Answer<Kind extends ControlAnswer["kind"]> = ControlAnswer & { readonly kind: Kind };

/** Answers by the node and the shard that gave them. */
interface Answered<Kind extends ControlAnswer["kind"]> {
  readonly node: string;
  readonly shard: number;
  readonly answer: Answer<Kind>;
}

/**
 * Asks all shards. `isPartial` is true if a shard or a node has failed to answer.
 */
async function ask<Kind extends ControlQuestion["kind"] & ControlAnswer["kind"]>(
  { board, actor }: ApiContext,
  question: ControlQuestion & { readonly kind: Kind },
): Promise<{ readonly answers: readonly Answered<Kind>[]; readonly isPartial: boolean; readonly failed: Set<string> }> {
  const all = await board.survey(question, actor === undefined ? {} : { actor });
  const answers: Answered<Kind>[] = [];
  const failed = new Set<string>();
  for (const one of all) {
    if (one.kind === "answered" && isAnswer(one.answer, question.kind)) {
      answers.push({ node: one.node, shard: one.shard, answer: one.answer as Answer<Kind> });
    } else failed.add(one.node);
  }
  return { answers, isPartial: failed.size > 0, failed };
}

/** Another version of this server, on another node, may answer something else. */
function isAnswer(value: unknown, kind: string): boolean {
  return typeof value === "object" && value !== null && (value as Partial<ControlAnswer>).kind === kind;
}

/** Sends a command to all shards. Throws error 100 if one has failed to answer: the command may be repeated. */
async function command(context: ApiContext, question: ControlQuestion): Promise<string> {
  const { isPartial } = await ask(context, question);
  if (isPartial) throw internalError();
  return DONE;
}

/** Reads which clients a command concerns. Not to name any is an error, unless `all_users` is true. */
function selectionOf(fields: RequestFields): ClientSelection {
  const client = fields.text("client");
  const session = fields.text("session");
  const user = fields.given("user");
  const all = fields.flag("all_users");
  if (user === undefined && client === "" && session === "" && !all) {
    throw badRequest('user, client or session is missing (user: "" selects anonymous clients)');
  }
  // Callers of Centrifugo may send an empty user beside a client: the client is then enough.
  const byUser = user !== undefined && !(user === "" && (all || client !== "" || session !== ""));
  return { ...(byUser && { user }), ...(client !== "" && { client }), ...(session !== "" && { session }) };
}

export function disconnect(fields: RequestFields, context: ApiContext): Promise<string> {
  const selection = selectionOf(fields);
  const whitelist = fields.texts("whitelist");
  const how = fields.object("disconnect");
  const code = how?.integer("code", 0, 4999) || DISCONNECTS.forceDisconnect.code;
  if (code < 3000) throw badRequest(`disconnect.code takes an integer from 3000 to 4999, got ${code}`);
  const given = how?.text("reason") ?? "";
  const reason = given === "" && how === undefined ? DISCONNECTS.forceDisconnect.reason : fitReason(given);
  return command(context, { kind: "disconnect", ...selection, whitelist, code, reason });
}

export function unsubscribe(fields: RequestFields, context: ApiContext): Promise<string> {
  const selection = selectionOf(fields);
  const channel = fields.text("channel");
  if (channel !== "") optionsOf(context.channels, channel);
  return command(context, { kind: "unsubscribe", ...selection, channel, ...UNSUBSCRIBES.server });
}

/**
 * Throws the error that the client itself would get, and error 104 if a client or a session is named that isn't there.
 * A user without a connection is no error, nor is a client that is subscribed already.
 */
export async function subscribe(fields: RequestFields, context: ApiContext): Promise<string> {
  const selection = selectionOf(fields);
  const channel = fields.needed("channel");
  const since = fields.object("recover_since");
  const question = {
    kind: "subscribe" as const,
    ...selection,
    channel,
    info: bytesOf(fields, "info"),
    data: bytesOf(fields, "data"),
    expireAt: secondsOf(fields, "expire_at"),
    override: overrideOf(fields.object("override")),
    recoverSince: since && { offset: since.integer("offset", 0, Number.MAX_SAFE_INTEGER), epoch: since.text("epoch") },
  };
  optionsOf(context.channels, channel);
  const { answers, isPartial } = await ask(context, question);
  const refused = answers.find(({ answer }) => answer.refused !== undefined)?.answer.refused;
  if (refused !== undefined) throw new ApiError(refused.code, refused.message);
  if (isPartial) throw internalError();
  const namesOne = selection.client !== undefined || selection.session !== undefined;
  if (namesOne && answers.every(({ answer }) => answer.found === 0)) throw notFound("not found: no such client");
  return DONE;
}

export function refresh(fields: RequestFields, context: ApiContext): Promise<string> {
  return command(context, {
    kind: "refresh",
    ...selectionOf(fields),
    expired: fields.flag("expired"),
    expireAt: secondsOf(fields, "expire_at"),
    info: bytesOf(fields, "info"),
  });
}

/** Returns bytes of Base64, or JSON text, in memory of their own: memory that they share would be copied as a whole. */
function bytesOf(fields: RequestFields, key: "info" | "data"): Uint8Array | undefined {
  const bytes = fields.base64(`b64${key}`) ?? (fields.has(key) ? fields.raw(key) : undefined);
  return bytes && Uint8Array.from(bytes);
}

function secondsOf(fields: RequestFields, key: string): number | undefined {
  return fields.integer(key, 0, MAX_SECONDS) || undefined;
}

function overrideOf(fields: RequestFields | undefined): SubscriptionOverride | undefined {
  if (fields === undefined) return undefined;
  const value = (key: string): boolean | undefined => fields.object(key)?.flag("value");
  return {
    presence: value("presence"),
    joinLeave: value("join_leave"),
    forcePushJoinLeave: value("force_push_join_leave"),
    forceRecovery: value("force_recovery"),
    forcePositioning: value("force_positioning"),
  };
}

export async function channels(fields: RequestFields, context: ApiContext): Promise<string> {
  const pattern = fields.text("pattern", MAX_GLOB_LENGTH);
  const limit = fields.integer("limit", 0, MAX_CHANNELS) || MAX_CHANNELS;
  if (compileGlob(pattern) === undefined) throw badRequest("pattern is malformed, or has too many alternatives");
  const { answers, isPartial } = await ask(context, { kind: "channels", pattern, limit });
  if (isPartial) throw internalError();
  const counts = new Map<string, number>();
  for (const { answer } of answers) {
    for (const [channel, clients] of answer.channels) counts.set(channel, (counts.get(channel) ?? 0) + clients);
  }
  const isCut = answers.some(({ answer }) => answer.isCut) || counts.size > limit;
  const texts = [...counts]
    .slice(0, limit)
    .map(([channel, clients]) => `${JSON.stringify(channel)}:{"num_clients":${clients}}`);
  return `{"channels":{${texts.join()}}${isCut ? ',"is_cut":true' : ""}}`;
}

export async function info(context: ApiContext): Promise<string> {
  const nodes = context.board.nodes();
  const { answers, failed } = await ask(context, { kind: "info" });
  const results = nodes.map(({ id, name, version, startedAt }) => {
    const uptime = Math.max(0, Math.round((Date.now() - startedAt) / 1_000));
    const known = { uid: id, name, version, uptime };
    const own = answers.filter(({ node }) => node === id).map(({ answer }) => answer);
    const users = DistinctCount.merge(own.map((answer) => answer.users));
    const distinct = DistinctCount.merge(own.map((answer) => answer.channels));
    // Part of the numbers would look like all of them.
    if (failed.has(id) || users === undefined || distinct === undefined) return { ...known, is_unresponsive: true };
    return {
      ...known,
      num_clients: own.reduce((sum, { clients }) => sum + clients, 0),
      num_users: users.value,
      num_channels: distinct.value,
      num_subs: own.reduce((sum, { subscriptions }) => sum + subscriptions, 0),
    };
  });
  return JSON.stringify({ nodes: results });
}

export async function connections(fields: RequestFields, context: ApiContext): Promise<string> {
  const limit = fields.integer("limit", 0, MAX_PAGE) || DEFAULT_PAGE;
  const after = fields.text("cursor", 255);
  const user = fields.given("user");
  const client = fields.text("client");
  const session = fields.text("session");
  const { answers, isPartial } = await ask(context, {
    kind: "connections",
    ...(user !== undefined && { user }),
    ...(client !== "" && { client }),
    ...(session !== "" && { session }),
    after,
    limit,
  });
  if (isPartial) throw internalError();
  const { clients, hasMore } = mergePages(answers, limit);
  const texts = clients.map((one) => `${JSON.stringify(one.client)}:${JSON.stringify(describe(one))}`);
  const cursor = hasMore ? `,"cursor":${JSON.stringify(clients.at(-1)?.client)}` : "";
  return `{"connections":{${texts.join()}}${cursor}}`;
}

interface Located extends ClientDescription {
  readonly node: string;
  readonly shard: number;
}

/** Puts the pages of all shards together: the clients with the smallest ids of all. */
function mergePages(
  pages: readonly Answered<"connections">[],
  limit: number,
): { readonly clients: readonly Located[]; readonly hasMore: boolean } {
  // Beyond the last client of a shard that has more, clients of that shard would be missing.
  const ends = pages.flatMap(({ answer }) => (answer.hasMore ? [answer.clients.at(-1)?.client ?? ""] : []));
  const end = ends.toSorted(compare)[0];
  const all = pages
    .flatMap(({ node, shard, answer }) => answer.clients.map((one) => ({ ...one, node, shard })))
    .toSorted((one, other) => compare(one.client, other.client));
  const known = end === undefined ? all : all.filter(({ client }) => client <= end);
  return { clients: known.slice(0, limit), hasMore: end !== undefined || known.length > limit };
}

function compare(one: string, other: string): number {
  return one === other ? 0 : one < other ? -1 : 1;
}

/** Returns a client in the form of Centrifugo, followed by fields that Centrifugo doesn't have. */
function describe(one: Located): object {
  return {
    app_name: one.name,
    app_version: one.version,
    transport: one.transport,
    protocol: one.encoding === "binary" ? "protobuf" : "json",
    user: one.user,
    state: { channels: Object.fromEntries(one.channels.map((channel) => [channel, {}])) },
    connected_at_ms: one.connectedAt,
    num_channels: one.numChannels,
    expire_at: one.expireAt,
    session: one.session,
    remote_address: one.remoteAddress,
    node: one.node,
    shard: one.shard,
    address: one.address,
  };
}
