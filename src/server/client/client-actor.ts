/**
 * The actor of one client of the protocol. Extend it in an actor module, and give it the `ClientServer` of the module.
 * It starts commands in their order and sends their answers; `client-commands.ts` has the commands.
 */
import { randomUUID, timingSafeEqual } from "node:crypto";
import { SwitchboardError } from "../../errors.ts";
import { Actor } from "../../runtime/actor/actor.ts";
import type { Address } from "../../runtime/actor/address.ts";
import type { Position } from "../../runtime/streams/position.ts";
import type { PresenceEvent } from "../../runtime/streams/topic-memory.ts";
import type { Message } from "../../wire/protocol/message.ts";
import { type CodeWithReason, DISCONNECTS, ERRORS, fitReason, UNSUBSCRIBES } from "../protocol/codes.ts";
import type { EmulatedCommands, EmulationSession } from "../protocol/emulation.ts";
import { jsonCodec } from "../protocol/json/codec.ts";
import type { ClientInfo, Codec, Command, ConnectRequest, Push, Reply } from "../protocol/messages.ts";
import { protobufCodec } from "../protocol/protobuf/codec.ts";
import type { ClientFacts, ConnectionGrant } from "./backend.ts";
import { type ClientCommand, type CommandingClient, runCommand } from "./client-commands.ts";
import type { RegisteredClient } from "./client-registry.ts";
import type { ClientServer } from "./client-server.ts";
import { ClientSubscriptions, type SubscriptionOwner } from "./client-subscriptions.ts";
import { CommandLanes, laneOf } from "./command-lanes.ts";
import { disconnected, expiryOf, type Refusal, refused } from "./decisions/answers.ts";
import { decideConnection } from "./decisions/connecting.ts";
import { pushOfPresence } from "./presence-pushes.ts";
import { beginServerSide } from "./server-side.ts";
import { ClientExpiry, type ExpiringClient } from "./timing/client-expiry.ts";
import type { ClientPings, PingedClient } from "./timing/client-pings.ts";
import { Deadlines } from "./timing/deadlines.ts";

/** The highest close code that clients and networks cause, or leave out. Source: RFC 6455, section 7.4.1. */
const ABNORMAL_CLOSURE = 1006;

/**
 * - `new`: the client hasn't sent `connect`.
 * - `connecting`: it is being decided whether the client may connect.
 * - `connected`: the client may do all that it is allowed to.
 * - `refused`: the client got an error in place of the connection.
 * - `ended`: the close frame is on its way.
 */
type ClientPhase = "new" | "connecting" | "connected" | "refused" | "ended";

type Told = Pick<ConnectRequest, "name" | "version" | "headers">;

/** Most clients tell the same: they share one object. */
const NOTHING_TOLD: Told = Object.freeze({ name: "", version: "", headers: Object.freeze({}) });
let lastTold = NOTHING_TOLD;

const NO_GRANT: ConnectionGrant = Object.freeze({ user: "" });

export abstract class ClientActor
  extends Actor<EmulationSession | undefined>
  implements SubscriptionOwner, CommandingClient, ExpiringClient, PingedClient, RegisteredClient
{
  /** Clients come back after this code, and not so readily after one of WebSocket's own. */
  static override readonly slowConsumerClose: CodeWithReason = DISCONNECTS.slow;

  /** What all clients of the shard share. The subclass gives it. */
  abstract readonly server: ClientServer;

  readonly clientId: string = randomUUID();
  codec: Codec = jsonCodec;
  readonly subscriptions = new ClientSubscriptions(this);
  #phase: ClientPhase = "new";
  /** What the client told in `connect`. */
  #told: Told = NOTHING_TOLD;
  #grant = NO_GRANT;
  #connectedAt = 0;
  /** Secret with which commands that come another way are accepted; undefined for WebSockets. */
  #session: string | undefined;
  awaitsPong = false;
  readonly deadlines = new Deadlines<ClientActor>(this);
  /** Commands that are under way; undefined if there are none. */
  #lanes: CommandLanes | undefined;
  /** Work for the API that hasn't run yet. */
  #waiting: Set<(done: boolean) => void> | undefined;

  // ── the life of the connection ─────────────────────────────────────────────────────────────────────────

  override opened(): void {
    const { protocol } = this;
    const format = this.#parameter("format") ?? this.#parameter("cf_protocol");
    if (protocol === "centrifuge-protobuf" || format === "protobuf") this.codec = protobufCodec;
    // The address can't be asked for any more when the client has gone: a first question keeps the answer.
    if (this.server.backend.disconnected !== undefined) this.facts();
    this.deadlines.set("stale", this.server.config.staleCloseDelayMs, closeStale);
  }

  override received(message: Message): Promise<void> | void {
    return this.#take(message.bytes);
  }

  override mailed(mail: unknown, from: Address | undefined): unknown {
    // Only the board's own mail is trusted: any actor may write to any address.
    if (from !== undefined || !isEmulated(mail) || !this.#isSession(mail.session)) return false;
    const { data } = mail;
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
    return this.#take(bytes)?.then(() => true) ?? true;
  }

  override closed(code: number, reason: string): void {
    this.#phase = "ended";
    this.deadlines.clear();
    this.server.left(this);
    this.server.observer?.disconnected(this, code, reason);
    this.subscriptions.endAll();
    this.#lanes?.end();
    for (const resolve of this.#waiting ?? []) resolve(false);
    if (this.#connectedAt === 0) return;
    const end = code <= ABNORMAL_CLOSURE ? DISCONNECTS.connectionClosed : { code, reason };
    this.server.backend.disconnected?.(this.facts(), end.code, end.reason);
  }

  override streamLost(topic: string, _position: Position): Promise<void> {
    return this.subscriptions.lost(topic);
  }

  override presenceChanged(event: PresenceEvent): void {
    const subscription = this.subscriptions.get(event.topic);
    if (subscription === undefined || event.kind === "missed") return;
    const push = pushOfPresence(event, this.codec, subscription.id);
    if (push !== undefined) this.send(push);
  }

  closeWith({ code, reason }: CodeWithReason): void {
    this.#phase = "ended";
    this.deadlines.clear();
    this.close(code, fitReason(reason));
  }

  // ── commands ───────────────────────────────────────────────────────────────────────────────────────────

  #take(bytes: Buffer): Promise<void> | undefined {
    const commands = this.codec.decode(bytes);
    if (commands === undefined) this.closeWith(DISCONNECTS.badRequest);
    else if (commands.length === 1 && commands[0]?.kind === "pong") this.#pong();
    else return this.#runAll(commands, bytes.length);
    return undefined;
  }

  /** Starts the commands of one message in order. Commands of different channels are under way together. */
  async #runAll(commands: readonly Command[], bytes: number): Promise<void> {
    const share = Math.ceil(bytes / commands.length);
    for (const command of commands) await this.#start(command, share);
  }

  /** Returns a promise if the next command has to wait: until it is decided whether the client may connect. */
  #start(command: Command, bytes: number): Promise<void> | undefined {
    if (this.#phase === "ended") return undefined;
    if (command.kind === "pong") {
      this.#pong();
      return undefined;
    }
    const isTime = this.#phase === (command.kind === "connect" ? "new" : "connected");
    if (!isTime || (command.id === 0 && command.kind !== "send")) {
      this.closeWith(DISCONNECTS.badRequest);
      return undefined;
    }
    if (command.kind === "connect") return this.#run(command.id, () => this.#connect(command));
    const { lanes, done } = this.#commandLanes();
    const isTaken = lanes.start(laneOf(command), bytes, () => this.#run(command.id, () => this.#answer(command)), done);
    if (!isTaken) this.#refuse(command, refused(ERRORS.tooManyRequests));
    return undefined;
  }

  #commandLanes(): { readonly lanes: CommandLanes; readonly done: () => void } {
    const lanes = this.#lanes ?? new CommandLanes();
    this.#lanes = lanes;
    // An idle client keeps none.
    const done = (): void => {
      if (lanes.isEmpty && this.#lanes === lanes) this.#lanes = undefined;
    };
    return { lanes, done };
  }

  /** Runs a command, unless the client has ended while the command waited. */
  async #run(id: number, command: () => Promise<void>): Promise<void> {
    if (this.#phase === "ended") return;
    try {
      await command();
    } catch (error) {
      // What the library refuses is told to the client; other errors are faults, and the board reports them.
      if (!(error instanceof SwitchboardError)) throw error;
      this.#reply({ id, kind: "error", error: ERRORS.internal });
    }
  }

  async #answer(command: ClientCommand): Promise<void> {
    const deliverAfter = Promise.withResolvers<void>();
    try {
      const answer = await runCommand(this, command, deliverAfter.promise);
      if (answer.kind === "result") this.#reply(answer.result);
      else this.#refuse(command, answer);
      if (answer.kind === "result" && command.kind === "subscribe") this.pushOwnJoin(command.request.channel);
    } finally {
      deliverAfter.resolve();
    }
  }

  async #connect(command: Command & { readonly kind: "connect" }): Promise<void> {
    this.#phase = "connecting";
    const { id, request } = command;
    const { server } = this;
    this.#told = toldBy(request);
    const decision = await decideConnection(server, request, this);
    if (decision.kind !== "result") return this.#refuseConnection(command, decision);
    this.#grant = decision.result;
    const excess = await server.admission?.admit(this);
    if (excess !== undefined) return this.#refuseConnection(command, disconnected(excess));
    const deliverAfter = Promise.withResolvers<void>();
    const subs = await beginServerSide(server, this.subscriptions, request, this.#grant, deliverAfter.promise);
    if (subs.kind !== "result") return this.#refuseConnection(command, subs);
    const { expireAt, data } = this.#grant;
    this.deadlines.delete("stale");
    this.#phase = "connected";
    this.#connectedAt = Date.now();
    server.connected(this);
    const result = {
      client: this.clientId,
      version: server.version,
      data,
      // The client refreshes only what it has a token for.
      ...(server.backend.refresh === undefined ? expiryOf(expireAt) : {}),
      ...(Object.keys(subs.result).length > 0 ? { subs: subs.result } : {}),
      ...this.#startPings(),
      ...this.#emulation(),
    };
    this.#reply({ id, kind: "connect", result });
    for (const channel of Object.keys(subs.result)) this.pushOwnJoin(channel);
    deliverAfter.resolve();
    if (expireAt !== undefined) this.#expiry().connection(expireAt);
  }

  #refuseConnection(command: Command, refusal: Refusal): void {
    this.#phase = "refused";
    for (const { channel } of [...this.subscriptions.values()]) this.subscriptions.end(channel.name);
    this.#refuse(command, refusal);
  }

  #refuse(command: Command, refusal: Refusal): void {
    const { kind, id } = command;
    const channel = laneOf(command) || undefined;
    const { code: told, cause } = refusal;
    const text = refusal.kind === "disconnect" ? refusal.reason : refusal.message;
    this.server.observer?.refused(this, { command: kind, channel, code: told, message: text, cause });
    if (refusal.kind === "disconnect") {
      this.closeWith(refusal);
      return;
    }
    const { code, message, temporary } = refusal;
    this.#reply({ id, kind: "error", error: { code, message, temporary } });
  }

  /** A client that can't get a payload in its encoding is closed: it can't go on as if it had it. */
  #reply(reply: Reply): void {
    if (this.codec.canEncodeReply(reply)) this.send(this.codec.encodeReply(reply));
    else this.closeWith(DISCONNECTS.inappropriateProtocol);
  }

  push(push: Push): void {
    if (this.codec.canEncodePush(push)) this.send(this.codec.encodePush(push));
    else this.closeWith(DISCONNECTS.inappropriateProtocol);
  }

  pushOwnJoin(channel: string): void {
    const join = this.subscriptions.ownJoin(channel);
    if (join !== undefined) this.push(join);
  }

  pushUnsubscribe(channel: string, { code, reason }: CodeWithReason): void {
    // Clients look for the name here, also where they agreed to numbers.
    this.push({ kind: "unsubscribe", channel, code, reason });
  }

  // ── pings and what expires ─────────────────────────────────────────────────────────────────────────────

  #startPings(): Partial<ClientPings["terms"]> {
    const { config } = this.server;
    if (config.pingIntervalMs === 0 || this.#parameter("cf_ws_frame_ping_pong") === "true") return {};
    this.server.pings.start(this);
    return this.server.pings.terms;
  }

  sendPing(): void {
    this.send(this.codec.ping);
  }

  #pong(): void {
    this.server.pings.pong(this);
  }

  renewed({ expireAt, info, meta }: Pick<ConnectionGrant, "expireAt" | "info" | "meta">): void {
    if (this.#phase === "ended") return;
    const { info: infoBefore, meta: metaBefore } = this.#grant;
    this.#grant = { ...this.#grant, expireAt, info: info ?? infoBefore, meta: meta ?? metaBefore };
    this.#expiry().connection(expireAt);
  }

  /** Most clients have nothing that expires: none is kept. */
  #expiry(): ClientExpiry {
    return new ClientExpiry(this, this.deadlines);
  }

  subscriptionExpires(channel: string, expireAt: number | undefined, byToken: boolean): void {
    this.#expiry().subscription(channel, expireAt, byToken);
  }

  endExpired(channel: string): void {
    const subscription = this.subscriptions.get(channel);
    if (subscription?.isServerSide) {
      this.closeWith(DISCONNECTS.subscriptionExpired);
    } else if (subscription !== undefined) {
      this.subscriptions.end(channel);
      this.pushUnsubscribe(channel, UNSUBSCRIBES.expired);
    }
  }

  // ── facts ──────────────────────────────────────────────────────────────────────────────────────────────

  get user(): string {
    return this.#grant.user;
  }

  get clientInfo(): ClientInfo {
    return { user: this.user, client: this.clientId, conn_info: this.#grant.info };
  }

  get emulatedSession(): string | undefined {
    return this.#session;
  }

  /** Returns the facts that are told to the application. */
  facts(): ClientFacts {
    const { request, session, codec } = this;
    const hasHeaders = (this.constructor as typeof ClientActor).requestHeaders.length > 0;
    return {
      client: this.clientId,
      transport: session?.transport ?? "websocket",
      encoding: codec.name === "json" ? "json" : "binary",
      user: this.user,
      meta: this.#grant.meta,
      headers: hasHeaders ? definedOf(request.headers) : {},
      remoteAddress: request.clientAddress ?? "",
      emulatedHeaders: this.#told.headers,
    };
  }

  /** The JavaScript client doesn't find channels by number in Protobuf: in Node it compares objects. */
  get takesNumbers(): boolean {
    return this.codec.name === "json" || this.#told.name !== "js";
  }

  /** A parameter of the URL. Most URLs have none, and a parsed query would be kept as long as the client. */
  #parameter(name: string): string | null {
    return this.request.url.includes("?") ? this.request.query.get(name) : null;
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

  get life() {
    const { name, version } = this.#told;
    return { name, version, connectedAt: this.#connectedAt, expireAt: this.#grant.expireAt };
  }

  soon(work: () => boolean | Promise<boolean>, channel?: string): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting ??= new Set();
    this.#waiting.add(resolve);
    const run = async (): Promise<void> => {
      try {
        resolve(this.#phase !== "ended" && (await work()));
      } finally {
        this.#waiting?.delete(resolve);
        resolve(false);
      }
    };
    this.after(0, async () => {
      if (channel === "") await this.#lanes?.settled();
      if (!channel) return run();
      const { lanes, done } = this.#commandLanes();
      lanes.startOwn(channel, run, done);
    });
    return promise;
  }
}

function closeStale(client: ClientActor): void {
  client.closeWith(DISCONNECTS.stale);
}

/** Returns what a client told; the object of the client before if both told the same. */
function toldBy({ name, version, headers }: ConnectRequest): Told {
  if (Object.keys(headers).length > 0) return { name, version, headers };
  if (lastTold.name !== name || lastTold.version !== version) {
    lastTold = { name, version, headers: NOTHING_TOLD.headers };
  }
  return lastTold;
}

function isEmulated(mail: unknown): mail is EmulatedCommands {
  return typeof mail === "object" && mail !== null && "kind" in mail && mail.kind === "emulated";
}

function definedOf(headers: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter((header): header is [string, string] => header[1] !== undefined),
  );
}
