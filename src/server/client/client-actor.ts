/**
 * The actor of one client of the protocol. Extend it in an actor module, and give it the `ClientServer` of the module.
 * It starts commands in their order and sends their answers; `client-commands.ts` has the commands.
 */
import { SwitchboardError } from "../../errors.ts";
import type { Address } from "../../runtime/actor/address.ts";
import type { Position } from "../../runtime/streams/position.ts";
import type { PresenceEvent } from "../../runtime/streams/topic-memory.ts";
import { noop } from "../../wire/protocol/empty.ts";
import type { Message } from "../../wire/protocol/message.ts";
import { type CodeWithReason, DISCONNECTS, ERRORS, fitReason, UNSUBSCRIBES } from "../protocol/codes.ts";
import type { EmulatedCommands } from "../protocol/emulation.ts";
import type { Command, Push, Reply } from "../protocol/messages.ts";
import type { ConnectionGrant } from "./backend.ts";
import { type ClientCommand, type CommandingClient, runCommand } from "./client-commands.ts";
import { ClientIdentity } from "./client-identity.ts";
import type { RegisteredClient } from "./client-registry.ts";
import { ClientSubscriptions, type SubscriptionOwner } from "./client-subscriptions.ts";
import { changeClient } from "./control/client-changes.ts";
import type { ChangeQuestion } from "./control/control.ts";
import { disconnected, expiryOf, type Refusal, refused } from "./decisions/answers.ts";
import { decideConnection } from "./decisions/connecting.ts";
import { CLIENT_STATE_VERSION, type ClientState, type ForwardedQuestion, isForwarded } from "./moving/client-state.ts";
import { pushOfPresence } from "./presence-pushes.ts";
import { beginServerSide } from "./server-side.ts";
import { ClientExpiry, type ExpiringClient } from "./timing/client-expiry.ts";
import type { ClientPings, PingedClient } from "./timing/client-pings.ts";
import { Deadlines } from "./timing/deadlines.ts";
import { laneOf } from "./work/command-lanes.ts";
import { WorkUnderWay } from "./work/work-under-way.ts";

/** The highest close code that clients and networks cause, or leave out. Source: RFC 6455, section 7.4.1. */
const ABNORMAL_CLOSURE = 1006;

/**
 * - `new`: the client hasn't sent `connect`.
 * - `connecting`: it is being decided whether the client may connect.
 * - `connected`: the client may do all that it is allowed to.
 * - `refused`: the client got an error in place of the connection.
 * - `ended`: the close frame is on its way, or another object of the client has taken over.
 */
type ClientPhase = ClientState["phase"] | "connecting" | "ended";

export abstract class ClientActor
  extends ClientIdentity
  implements SubscriptionOwner, CommandingClient, ExpiringClient, PingedClient, RegisteredClient
{
  /** Clients come back after this code, and not so readily after one of WebSocket's own. */
  static override readonly slowConsumerClose: CodeWithReason = DISCONNECTS.slow;

  readonly subscriptions = new ClientSubscriptions(this);
  #phase: ClientPhase = "new";
  awaitsPong = false;
  readonly deadlines = new Deadlines<ClientActor>(this);
  /** Undefined for an idle client. */
  #work: WorkUnderWay | undefined;

  // ── the life of the connection ─────────────────────────────────────────────────────────────────────────

  override opened(): void {
    this.begin();
    this.deadlines.set("stale", this.server.config.staleCloseDelayMs, closeStale);
  }

  override received(message: Message): Promise<void> | void {
    return this.#take(message.bytes);
  }

  override mailed(mail: unknown, from: Address | undefined): unknown {
    if (from === this.address && isForwarded(mail)) {
      // The change is a handler of its own, which begins after this one: to wait for it here would be for ever.
      void changeClient(this.server, this, mail.question);
      return undefined;
    }
    // Only the board's own mail is trusted: any actor may write to any address.
    if (from !== undefined || !isEmulated(mail) || !this.isSecret(mail.session)) return false;
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
    this.#work?.end();
    if (this.connectedAt === 0) return;
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
    const run = (): Promise<void> => this.#run(command.id, () => this.#answer(command));
    if (!this.#working().start(laneOf(command), bytes, run)) this.#refuse(command, refused(ERRORS.tooManyRequests));
    return undefined;
  }

  #working(): WorkUnderWay {
    this.#work ??= new WorkUnderWay(this);
    return this.#work;
  }

  get hasEnded(): boolean {
    return this.#phase === "ended";
  }

  workDone(): void {
    if (this.#work?.isEmpty) this.#work = undefined;
  }

  /** Runs a command, unless the client has ended while the command waited. */
  async #run(id: number, command: () => Promise<void>): Promise<void> {
    if (this.#phase === "ended") return;
    try {
      await command();
    } catch (error) {
      // Errors of the library are told to the client; other errors are faults, and the board reports them.
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
    this.tellsOfItself(request);
    const decision = await decideConnection(server, request, this);
    if (decision.kind !== "result") return this.#refuseConnection(command, decision);
    this.grant = decision.result;
    const excess = await server.admission?.admit(this);
    if (excess !== undefined) return this.#refuseConnection(command, disconnected(excess));
    const deliverAfter = Promise.withResolvers<void>();
    const subs = await beginServerSide(server, this.subscriptions, request, this.grant, deliverAfter.promise);
    if (subs.kind !== "result") return this.#refuseConnection(command, subs);
    const { expireAt, data } = this.grant;
    this.deadlines.delete("stale");
    this.#phase = "connected";
    this.connectedAt = Date.now();
    server.connected(this);
    const result = {
      client: this.clientId,
      version: server.version,
      data,
      // The client refreshes only what it has a token for.
      ...(server.backend.refresh === undefined ? expiryOf(expireAt) : {}),
      ...(Object.keys(subs.result).length > 0 ? { subs: subs.result } : {}),
      ...this.#startPings(),
      ...this.beginEmulation(),
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
    if (config.pingIntervalMs === 0 || this.parameter("cf_ws_frame_ping_pong") === "true") return {};
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
    const { info: infoBefore, meta: metaBefore } = this.grant;
    this.grant = { ...this.grant, expireAt, info: info ?? infoBefore, meta: meta ?? metaBefore };
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

  // ── for the API, by way of the registry ────────────────────────────────────────────────────────────────

  soon(work: () => boolean | Promise<boolean>, channel?: string): Promise<boolean> {
    return this.#working().soon(work, channel);
  }

  // ── moves to another shard ─────────────────────────────────────────────────────────────────────────────

  /** Ends what is under way, and gives everything that the next object needs. Overrides call it. */
  override async suspended(): Promise<unknown> {
    await this.#work?.settled();
    const { awaitsPong } = this;
    const phase = this.#phase as ClientState["phase"];
    const state: ClientState = {
      identity: this.saveIdentity(),
      phase,
      awaitsPong,
      deadlines: this.deadlines.save(),
      subscriptions: this.subscriptions.save(),
    };
    this.#phase = "ended";
    this.server.leaving(this);
    return state;
  }

  /** Takes over from another object of the client. Overrides call it. Throws for a state of another version. */
  override resumed(suspended: unknown, version: number): void {
    if (version !== CLIENT_STATE_VERSION) throw new Error(`a client's state has the version ${version}`);
    const state = suspended as ClientState;
    this.begin();
    this.loadIdentity(state.identity);
    this.#phase = state.phase;
    this.awaitsPong = state.awaitsPong;
    if (state.phase === "connected") this.server.arrived(this);
    this.subscriptions.load(state.subscriptions);
    for (const [name, dueInMs] of state.deadlines) this.#setAgain(name, dueInMs);
  }

  #setAgain(name: string, dueInMs: number): void {
    const { server } = this;
    if (name === "stale") this.deadlines.set(name, dueInMs, closeStale);
    else if (name === "ping") server.pings.again(this, dueInMs);
    else if (name === "pong") server.pings.awaitPong(this, dueInMs);
    else this.#expiry().again(name, dueInMs, (channel) => this.subscriptions.get(channel)?.byToken);
  }

  forward(question: ChangeQuestion): void {
    void this.tell(this.address, { kind: "control", question } satisfies ForwardedQuestion).catch(noop);
  }
}

function closeStale(client: ClientActor): void {
  client.closeWith(DISCONNECTS.stale);
}

function isEmulated(mail: unknown): mail is EmulatedCommands {
  return typeof mail === "object" && mail !== null && "kind" in mail && mail.kind === "emulated";
}
