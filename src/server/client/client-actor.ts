/**
 * The actor of one client of the protocol. Extend it in an actor module, and give it the `ClientServer` of the module.
 * It reads commands one after the other, and leaves decisions to `connecting`, `subscribing`, `publishing`, `renewing`.
 */
import { randomUUID, timingSafeEqual } from "node:crypto";
import { SwitchboardError } from "../../errors.ts";
import { Actor } from "../../runtime/actor/actor.ts";
import type { Address } from "../../runtime/actor/address.ts";
import type { Position } from "../../runtime/streams/position.ts";
import type { PresenceEvent } from "../../runtime/streams/topic-memory.ts";
import type { Message } from "../../wire/protocol/message.ts";
import type { Channel } from "../channels/channels.ts";
import type { Who } from "../channels/permissions.ts";
import { type CodeWithReason, DISCONNECTS, ERRORS, fitReason, UNSUBSCRIBES } from "../protocol/codes.ts";
import type { EmulatedCommands, EmulationSession } from "../protocol/emulation.ts";
import { jsonCodec } from "../protocol/json/codec.ts";
import type {
  ClientInfo,
  Codec,
  Command,
  ConnectRequest,
  Encoded,
  Reply,
  SubscribeResult,
} from "../protocol/messages.ts";
import { protobufCodec } from "../protocol/protobuf/codec.ts";
import type { Answer, ClientFacts, ConnectionGrant, SubscriptionGrant } from "./backend.ts";
import type { RegisteredClient } from "./client-registry.ts";
import type { ClientServer } from "./client-server.ts";
import {
  type ClientSubscription,
  ClientSubscriptions,
  NO_BEGIN,
  type SubscriptionOwner,
} from "./client-subscriptions.ts";
import type {
  ClientDescription,
  ClientSelection,
  RefreshQuestion,
  SubscribeClientsQuestion,
  UnsubscribeQuestion,
} from "./control.ts";
import { Deadlines } from "./deadlines.ts";
import { granted, refused, secondsUntil } from "./decisions/answers.ts";
import { decideConnection } from "./decisions/connecting.ts";
import { publishAs } from "./decisions/publishing.ts";
import { readHistory, readPresence, readPresenceStats } from "./decisions/reading.ts";
import { renewedConnection, renewedSubscription } from "./decisions/renewing.ts";
import { decideSubscription } from "./decisions/subscribing.ts";
import { pushOfPresence } from "./presence-pushes.ts";

/**
 * - `new`: the client hasn't sent `connect`.
 * - `connecting`: the application is asked.
 * - `connected`: the client may do all that it is allowed to.
 * - `refused`: the client got an error, and must go.
 */
type ClientPhase = "new" | "connecting" | "connected" | "refused";

/** Number of consecutive commands of one kind that are under way together. */
const MAX_TOGETHER = 32;

export abstract class ClientActor
  extends Actor<EmulationSession | undefined>
  implements SubscriptionOwner, RegisteredClient
{
  /** What all clients of the shard share. The subclass gives it. */
  abstract readonly server: ClientServer;

  readonly clientId: string = randomUUID();
  codec: Codec = jsonCodec;
  #phase: ClientPhase = "new";
  #request: Pick<ConnectRequest, "name" | "version" | "headers"> = { name: "", version: "", headers: {} };
  #grant: ConnectionGrant = { user: "" };
  #connectedAt = 0;
  /** Secret with which commands that come another way are accepted; undefined for WebSockets. */
  #session: string | undefined;
  /** True while a pong is owed. */
  #awaitsPong = false;
  readonly #subscriptions = new ClientSubscriptions(this);
  readonly #deadlines = new Deadlines((delayMs, callback) => this.after(delayMs, callback));

  // ── the life of the connection ─────────────────────────────────────────────────────────────────────────

  override opened(): void {
    const { protocol, request } = this;
    const format = request.query.get("format") ?? request.query.get("cf_protocol");
    if (protocol === "centrifuge-protobuf" || format === "protobuf") this.codec = protobufCodec;
    this.#deadlines.set("stale", this.server.config.staleCloseDelayMs, () => this.closeWith(DISCONNECTS.stale));
  }

  override received(message: Message): Promise<void> | void {
    return this.#take(message.bytes);
  }

  override mailed(mail: unknown, from: Address | undefined): unknown {
    // Only the board's own mail is trusted: any actor may write to any address.
    if (from !== undefined || !isEmulated(mail) || !this.#isSession(mail.session)) return false;
    const { data } = mail;
    const done = this.#take(typeof data === "string" ? Buffer.from(data) : bufferOf(data));
    return done === undefined ? true : done.then(() => true);
  }

  override closed(code: number, reason: string): void {
    this.#deadlines.clear();
    this.server.registry.delete(this.clientId);
    this.#subscriptions.endAll();
    if (this.#phase === "connected") this.server.backend.disconnected?.(this.facts(), code, reason);
  }

  override streamLost(topic: string, _position: Position): Promise<void> {
    return this.#subscriptions.lost(topic);
  }

  override presenceChanged(event: PresenceEvent): void {
    const subscription = this.#subscriptions.get(event.topic);
    if (subscription === undefined || event.kind === "missed") return;
    const push = pushOfPresence(event, this.codec, subscription.id);
    if (push !== undefined) this.send(push);
  }

  // ── commands ───────────────────────────────────────────────────────────────────────────────────────────

  #take(bytes: Buffer): Promise<void> | void {
    const commands = this.codec.decode(bytes);
    if (commands === undefined) return this.closeWith(DISCONNECTS.badRequest);
    if (commands.length === 1 && commands[0]?.kind === "pong") return this.#pong();
    return this.#runAll(commands);
  }

  /** Runs commands in order. Subscriptions in a row, and calls in a row, are under way together. */
  async #runAll(commands: readonly Command[]): Promise<void> {
    for (let start = 0; start < commands.length; ) {
      const { kind } = commands[start] as Command;
      let end = start + 1;
      if (kind === "subscribe" || kind === "rpc") {
        while (end < commands.length && end - start < MAX_TOGETHER && commands[end]?.kind === kind) end++;
      }
      if (end === start + 1) await this.#run(commands[start] as Command);
      else await Promise.all(commands.slice(start, end).map((command) => this.#run(command)));
      start = end;
    }
  }

  async #run(command: Command): Promise<void> {
    if (this.#phase === "refused" && this.#isClosing) return;
    if (command.kind === "pong") return this.#pong();
    const needsId = command.kind !== "send";
    const isTime = command.kind === "connect" ? this.#phase === "new" : this.#phase === "connected";
    if (!isTime || (needsId && command.id === 0)) return this.closeWith(DISCONNECTS.badRequest);
    try {
      await this.#answer(command);
    } catch (error) {
      // What the library refuses is told to the client; other errors are faults, and the board reports them.
      if (!(error instanceof SwitchboardError)) throw error;
      this.#reply({ id: command.id, kind: "error", error: ERRORS.internal });
    }
  }

  async #answer(command: Command): Promise<void> {
    const { id } = command;
    switch (command.kind) {
      case "connect":
        return this.#connect(id, command.request);
      case "subscribe":
        return this.#subscribe(id, command.request);
      case "unsubscribe":
        this.#subscriptions.end(command.request.channel);
        this.#reply({ id, kind: "unsubscribe" });
        return;
      case "publish": {
        const { channel, data, type } = command.request;
        if (type !== 0) return this.#refuse(id, refused(ERRORS.notAvailable));
        const answer = await this.#inChannel(channel, (known, who) => publishAs(this, known, who, data));
        return this.#settle(id, answer, () => ({ id, kind: "publish" }));
      }
      case "presence": {
        const answer = await this.#inChannel(command.request.channel, (known, who) => readPresence(this, known, who));
        return this.#settle(id, answer, (result) => ({ id, kind: "presence", result }));
      }
      case "presence_stats": {
        const { channel } = command.request;
        const answer = await this.#inChannel(channel, (known, who) => readPresenceStats(this, known, who));
        return this.#settle(id, answer, (result) => ({ id, kind: "presence_stats", result }));
      }
      case "history": {
        const { request } = command;
        const most = this.server.limits.historyMaxPublicationLimit;
        const answer = await this.#inChannel(request.channel, (known, who) =>
          readHistory(this, known, who, request, most),
        );
        return this.#settle(id, answer, (result) => ({ id, kind: "history", result }));
      }
      case "rpc": {
        const { rpc } = this.server.backend;
        if (rpc === undefined) return this.#refuse(id, refused(ERRORS.methodNotFound));
        const answer = await this.server.backend.rpc?.({ facts: this.facts(), ...command.request });
        if (answer === undefined) return;
        return this.#settle(id, answer, (result) => ({ id, kind: "rpc", result }));
      }
      case "refresh": {
        const answer = await renewedConnection(this.server, command.request.token, this.#grant.user);
        if (answer.kind === "result") this.#renew(answer.result);
        return this.#settle(id, answer, ({ expireAt }) => ({
          id,
          kind: "refresh",
          result: { client: this.clientId, version: this.server.version, ...expiryOf(expireAt) },
        }));
      }
      case "sub_refresh": {
        const { channel, token, type } = command.request;
        if (type !== 0) return this.#refuse(id, refused(ERRORS.notAvailable));
        if (!this.isSubscribed(channel)) return this.#refuse(id, refused(ERRORS.permissionDenied));
        const answer = await renewedSubscription(this.server, channel, token, this.facts());
        if (answer.kind === "result") this.#renewSubscription(channel, answer.result.expireAt);
        return this.#settle(id, answer, ({ expireAt }) => ({ id, kind: "sub_refresh", result: expiryOf(expireAt) }));
      }
      case "send":
        return this.closeWith(DISCONNECTS.notAvailable);
      case "ping":
        return this.closeWith(DISCONNECTS.badRequest);
      default:
        return this.#refuse(id, refused(ERRORS.methodNotFound));
    }
  }

  async #connect(id: number, request: ConnectRequest): Promise<void> {
    this.#phase = "connecting";
    const { name, version, headers } = request;
    this.#request = { name, version, headers };
    const decision = await decideConnection(this.server, request, this.facts());
    if (decision.kind !== "result") return this.#refuseConnection(id, decision);
    this.#grant = decision.result;
    const deliverAfter = Promise.withResolvers<void>();
    const subs = await this.#beginServerSide(request, decision.result, deliverAfter.promise);
    if (subs.kind !== "result") return this.#refuseConnection(id, subs);
    this.#deadlines.delete("stale");
    this.#phase = "connected";
    this.#connectedAt = Date.now();
    this.server.registry.add(this.clientId, this);
    const { expireAt, data } = decision.result;
    const hasSubs = Object.keys(subs.result).length > 0;
    this.#reply({
      id,
      kind: "connect",
      result: {
        client: this.clientId,
        version: this.server.version,
        data,
        ...(this.server.backend.refresh === undefined ? expiryOf(expireAt) : {}),
        ...(hasSubs ? { subs: subs.result } : {}),
        ...this.#startPings(),
        ...this.#emulation(),
      },
    });
    deliverAfter.resolve();
    if (expireAt !== undefined) this.#expireAt(expireAt);
  }

  /** Begins the subscriptions that the grant asks for, and the client's personal channel. */
  async #beginServerSide(
    { subs }: ConnectRequest,
    { subs: granted_ = {}, user }: ConnectionGrant,
    deliverAfter: Promise<unknown>,
  ): Promise<Answer<Readonly<Record<string, SubscribeResult>>>> {
    const personal = this.server.config.subscribeToUserPersonalChannel;
    const wanted: Record<string, SubscriptionGrant> = { ...granted_ };
    if (personal.enabled && user !== "") {
      const { personalChannelNamespace: namespace } = personal;
      wanted[`${namespace === "" ? "" : `${namespace}:`}#${user}`] ??= {};
    }
    const results: Record<string, SubscribeResult> = {};
    const begun = await Promise.all(
      Object.entries(wanted).map(async ([name, grant]) => {
        const found = this.server.channels.of(name);
        if (found.kind !== "known")
          return refused(found.kind === "unknown" ? ERRORS.unknownChannel : ERRORS.badRequest);
        const had = Object.hasOwn(subs, name) ? subs[name] : undefined;
        const begin = had === undefined ? NO_BEGIN : { ...NO_BEGIN, ...had };
        const answer = await this.#subscriptions.begin(
          found.channel,
          { ...begin, recoverable: true, positioned: true },
          { ...grant, isServerSide: true, byToken: false },
          deliverAfter,
        );
        if (answer.kind === "result") results[name] = answer.result;
        return answer;
      }),
    );
    return begun.find((answer) => answer.kind !== "result") ?? granted(results);
  }

  #refuseConnection(id: number, refusal: Exclude<Answer<never>, { kind: "result" }>): void {
    this.#phase = "refused";
    this.#subscriptions.endAll();
    this.#refuse(id, refusal);
  }

  async #subscribe(id: number, request: Extract<Command, { kind: "subscribe" }>["request"]): Promise<void> {
    if (request.type !== 0) return this.#refuse(id, refused(ERRORS.notAvailable));
    const deliverAfter = Promise.withResolvers<void>();
    const answer = await this.#inChannel(request.channel, async (channel) => {
      if (this.#subscriptions.has(channel.name)) return refused(ERRORS.alreadySubscribed);
      const decision = await decideSubscription(this.server, channel, request, this.facts());
      if (decision.kind !== "result") return decision;
      const admission = { ...decision.result, isServerSide: false };
      return this.#subscriptions.begin(channel, request, admission, deliverAfter.promise);
    });
    this.#settle(id, answer, (result) => ({ id, kind: "subscribe", result }));
    deliverAfter.resolve();
  }

  async #inChannel<Result>(
    name: string,
    work: (channel: Channel, who: Who) => Promise<Answer<Result>>,
  ): Promise<Answer<Result>> {
    const found = this.server.channels.of(name);
    if (found.kind === "unknown") return refused(ERRORS.unknownChannel);
    if (found.kind === "malformed") return refused(ERRORS.badRequest);
    const { insecure } = this.server.config;
    return work(found.channel, { user: this.user, isSubscribed: this.isSubscribed(name), insecure });
  }

  // ── answers ────────────────────────────────────────────────────────────────────────────────────────────

  #settle<Result>(id: number, answer: Answer<Result>, reply: (result: Result) => Reply): void {
    if (answer.kind === "result") this.#reply(reply(answer.result));
    else this.#refuse(id, answer);
  }

  #refuse(id: number, refusal: Exclude<Answer<never>, { kind: "result" }>): void {
    if (refusal.kind === "disconnect") {
      this.closeWith(refusal);
      return;
    }
    const { code, message, temporary } = refusal;
    this.#reply({ id, kind: "error", error: { code, message, temporary } });
  }

  #reply(reply: Reply): void {
    this.#sendEncoded(this.codec.encodeReply(reply));
  }

  #sendEncoded(encoded: Encoded): void {
    this.send(encoded);
  }

  #isClosing = false;

  closeWith({ code, reason }: CodeWithReason): void {
    this.#isClosing = true;
    this.#deadlines.clear();
    this.close(code, fitReason(reason));
  }

  // ── pings and what expires ─────────────────────────────────────────────────────────────────────────────

  #startPings(): { readonly ping?: number; readonly pong?: boolean } {
    const { pingIntervalMs } = this.server.config;
    if (pingIntervalMs === 0 || this.request.query.get("cf_ws_frame_ping_pong") === "true") return {};
    // Clients that came together are pinged at different times.
    this.#deadlines.set("ping", pingIntervalMs * (0.5 + Math.random() / 2), () => this.#ping());
    const ping = Math.max(1, Math.round(pingIntervalMs / 1_000));
    return this.session === undefined ? { ping, pong: true } : { ping };
  }

  #ping(): void {
    const { pingIntervalMs, pongTimeoutMs } = this.server.config;
    this.#sendEncoded(this.codec.ping);
    this.#deadlines.set("ping", pingIntervalMs, () => this.#ping());
    if (this.session !== undefined || pongTimeoutMs === 0) return;
    this.#awaitsPong = true;
    this.#deadlines.set("pong", pongTimeoutMs, () => this.closeWith(DISCONNECTS.noPong));
  }

  #pong(): void {
    if (!this.#awaitsPong) {
      this.closeWith(DISCONNECTS.badRequest);
      return;
    }
    this.#awaitsPong = false;
    this.#deadlines.delete("pong");
  }

  /** @param expireAt Unix time in seconds */
  #expireAt(expireAt: number): void {
    const { backend, config } = this.server;
    const leftMs = Math.max(expireAt * 1_000 - Date.now(), 0);
    if (backend.refresh === undefined) {
      this.#deadlines.set("expiry", leftMs + config.expiredCloseDelayMs, () => this.closeWith(DISCONNECTS.expired));
      return;
    }
    this.#deadlines.set("expiry", leftMs, async () => {
      const answer = await backend.refresh?.(this.facts());
      if (answer?.kind === "result" && answer.result.expired !== true) return this.#renew(answer.result);
      if (answer?.kind === "error") {
        // The application can't answer now: the client has the time that a token has.
        this.#deadlines.set("expiry", config.expiredCloseDelayMs, () => this.closeWith(DISCONNECTS.expired));
        return;
      }
      this.closeWith(answer?.kind === "disconnect" ? answer : DISCONNECTS.expired);
    });
  }

  #renew({ expireAt, info, meta }: Pick<ConnectionGrant, "expireAt" | "info" | "meta">): void {
    this.#grant = {
      ...this.#grant,
      expireAt,
      ...(info === undefined ? {} : { info }),
      ...(meta === undefined ? {} : { meta }),
    };
    if (expireAt === undefined) this.#deadlines.delete("expiry");
    else this.#expireAt(expireAt);
  }

  subscriptionExpires(channel: string, expireAt: number): void {
    const { backend, config } = this.server;
    const subscription = (): ClientSubscription | undefined => this.#subscriptions.get(channel);
    const leftMs = Math.max(expireAt * 1_000 - Date.now(), 0);
    const end = (): void => {
      const ended = subscription();
      if (ended === undefined) return;
      if (ended.isServerSide) {
        this.closeWith(DISCONNECTS.subscriptionExpired);
        return;
      }
      this.#subscriptions.end(channel);
      this.pushUnsubscribe(channel, UNSUBSCRIBES.expired);
    };
    const name = `expiry ${channel}`;
    this.#deadlines.set(name, leftMs, async () => {
      const known = subscription();
      if (known === undefined) return;
      if (known.byToken || backend.subRefresh === undefined || !known.channel.options.subRefreshProxyEnabled) {
        this.#deadlines.set(name, known.byToken ? config.expiredSubCloseDelayMs : 0, end);
        return;
      }
      const answer = await backend.subRefresh(this.facts(), channel);
      if (answer.kind === "result" && answer.result.expired !== true) {
        this.#renewSubscription(channel, answer.result.expireAt);
      } else if (answer.kind === "error") {
        this.#deadlines.set(name, config.expiredSubCloseDelayMs, end);
      } else {
        end();
      }
    });
  }

  #renewSubscription(channel: string, expireAt: number | undefined): void {
    if (expireAt === undefined) this.subscriptionEnded(channel);
    else this.subscriptionExpires(channel, expireAt);
  }

  subscriptionEnded(channel: string): void {
    this.#deadlines.delete(`expiry ${channel}`);
  }

  pushUnsubscribe(channel: string, { code, reason }: CodeWithReason): void {
    // Clients look for the name here, also where they agreed to numbers.
    this.#sendEncoded(this.codec.encodePush({ kind: "unsubscribe", channel, code, reason }));
  }

  // ── facts ──────────────────────────────────────────────────────────────────────────────────────────────

  get user(): string {
    return this.#grant.user;
  }

  get clientInfo(): ClientInfo {
    return { user: this.user, client: this.clientId, conn_info: this.#grant.info };
  }

  /** The JavaScript client doesn't find channels by number in Protobuf: in Node it compares objects. */
  get takesNumbers(): boolean {
    return this.codec.name === "json" || this.#request.name !== "js";
  }

  get speaksJson(): boolean {
    return this.codec.name === "json";
  }

  get subscriptionCount(): number {
    return this.#subscriptions.size;
  }

  isSubscribed(channel: string): boolean {
    return this.#subscriptions.get(channel) !== undefined;
  }

  /** Returns the facts that are told to the application. */
  facts(): ClientFacts {
    const { request } = this;
    const headers: Record<string, string> = {};
    const asked = (this.constructor as typeof ClientActor).requestHeaders;
    if (asked.length > 0) {
      for (const [name, value] of Object.entries(request.headers)) if (value !== undefined) headers[name] = value;
    }
    return {
      client: this.clientId,
      transport: this.session?.transport ?? "websocket",
      encoding: this.codec.name === "json" ? "json" : "binary",
      user: this.user,
      meta: this.#grant.meta,
      headers,
      remoteAddress: request.clientAddress ?? "",
      emulatedHeaders: this.#request.headers,
    };
  }

  /** What a client without a WebSocket needs to send more commands. */
  #emulation(): { readonly session?: string; readonly node?: string } {
    if (this.session === undefined) return {};
    this.#session = randomUUID();
    return { session: this.#session, node: this.address };
  }

  #isSession(session: string): boolean {
    const [own, given] = [Buffer.from(this.#session ?? ""), Buffer.from(session)];
    return own.length > 0 && own.length === given.length && timingSafeEqual(own, given);
  }

  // ── for the API, by way of the registry ────────────────────────────────────────────────────────────────

  fits({ user, client, session }: ClientSelection): boolean {
    return (
      (user === undefined || user === this.user) &&
      (client === undefined || client === this.clientId) &&
      (session === undefined || session === this.#session)
    );
  }

  describe(): ClientDescription {
    const { transport, encoding, remoteAddress } = this.facts();
    const channels = Array.from(this.#subscriptions.values(), ({ channel }) => channel.name);
    return {
      client: this.clientId,
      user: this.user,
      session: this.#session,
      transport,
      encoding,
      name: this.#request.name,
      version: this.#request.version,
      channels: channels.slice(0, 128),
      numChannels: channels.length,
      connectedAt: this.#connectedAt,
      expireAt: this.#grant.expireAt,
      remoteAddress,
      address: this.address,
      info: this.#grant.info,
    };
  }

  closeSoon(reason: CodeWithReason): void {
    this.after(0, () => this.closeWith(reason));
  }

  subscribeSoon({
    channel: name,
    info,
    data,
    expireAt,
    override,
    recoverSince,
  }: SubscribeClientsQuestion): Promise<boolean> {
    return this.#soon(async () => {
      const found = this.server.channels.of(name);
      if (found.kind !== "known" || this.#subscriptions.has(name)) return false;
      const deliverAfter = Promise.withResolvers<void>();
      const begin = { ...NO_BEGIN, positioned: true, recoverable: true };
      const since = recoverSince === undefined ? {} : { recover: true, ...recoverSince };
      const grant = { info: info && bufferOf(info), data: data && bufferOf(data), expireAt, override };
      const admission = { ...grant, isServerSide: true, byToken: false };
      const answer = await this.#subscriptions.begin(
        found.channel,
        { ...begin, ...since },
        admission,
        deliverAfter.promise,
      );
      if (answer.kind === "result") {
        this.#sendEncoded(this.codec.encodePush({ kind: "subscribe", channel: name, result: answer.result }));
        for (const pub of answer.result.publications ?? []) {
          this.#sendEncoded(this.codec.encodePush({ kind: "pub", channel: name, pub }));
        }
      }
      deliverAfter.resolve();
      return answer.kind === "result";
    });
  }

  unsubscribeSoon({ channel, code, reason }: UnsubscribeQuestion): Promise<boolean> {
    return this.#soon(() => {
      const all = Array.from(this.#subscriptions.values(), (subscription) => subscription.channel.name);
      const ended = (channel === "" ? all : [channel]).map((name) => {
        const subscription = this.#subscriptions.end(name);
        if (subscription !== undefined) this.pushUnsubscribe(name, { code, reason });
        return subscription;
      });
      return ended.some((subscription) => subscription !== undefined);
    });
  }

  refreshSoon({ expired, expireAt, info }: RefreshQuestion): Promise<boolean> {
    return this.#soon(() => {
      if (expired) this.closeWith(DISCONNECTS.expired);
      else this.#renew({ expireAt, info: info && bufferOf(info) });
      return true;
    });
  }

  /** Runs work as a handler of this actor. Resolves with false if the client has gone before. */
  #soon(work: () => boolean | Promise<boolean>): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.add(resolve);
    this.after(0, async () => {
      try {
        resolve(await work());
      } finally {
        this.#waiting.delete(resolve);
        resolve(false);
      }
    });
    return promise;
  }

  readonly #waiting = new Set<(done: boolean) => void>();
}

function expiryOf(expireAt: number | undefined): { readonly expires?: boolean; readonly ttl?: number } {
  const ttl = expireAt === undefined ? undefined : secondsUntil(expireAt);
  return ttl === undefined ? {} : { expires: true, ttl };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function isEmulated(mail: unknown): mail is EmulatedCommands {
  return typeof mail === "object" && mail !== null && "kind" in mail && mail.kind === "emulated";
}
