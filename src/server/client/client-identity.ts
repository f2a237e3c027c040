/**
 * The identity of one client: its facts from `connect`, its grant, and the info that others see. `ClientActor` extends
 * this class.
 */
import { Actor } from "../../runtime/actor/actor.ts";
import { builtins } from "../../wire/node-internals/builtins.ts";
import type { EmulationSession } from "../protocol/emulation.ts";
import { jsonCodec } from "../protocol/json/codec.ts";
import type { ClientInfo, Codec, ConnectRequest } from "../protocol/messages.ts";
import { protobufCodec } from "../protocol/protobuf/codec.ts";
import type { ClientFacts, ConnectionGrant } from "./backend.ts";
import type { ClientServer } from "./client-server.ts";
import type { IdentityState } from "./moving/client-state.ts";

/** The client's description of itself in `connect`. */
type Told = Pick<ConnectRequest, "name" | "version" | "headers">;

/** Most clients tell the same: they share one object. */
const NOTHING_TOLD: Told = Object.freeze({ name: "", version: "", headers: Object.freeze({}) });
let lastTold = NOTHING_TOLD;

const NO_GRANT: ConnectionGrant = Object.freeze({ user: "" });

export abstract class ClientIdentity extends Actor<EmulationSession | undefined> {
  /** The parts that all clients of the shard share. The subclass gives them. */
  abstract readonly server: ClientServer;

  clientId: string = builtins.crypto.randomUUID();
  codec: Codec = jsonCodec;
  protected grant = NO_GRANT;
  /** Unix time in ms; 0 until the client is connected. */
  protected connectedAt = 0;
  #told: Told = NOTHING_TOLD;
  /** Secret with which commands that come another way are accepted; undefined for WebSockets. */
  #secret: string | undefined;

  get user(): string {
    return this.grant.user;
  }

  get clientInfo(): ClientInfo {
    return { user: this.user, client: this.clientId, conn_info: this.grant.info };
  }

  get emulatedSession(): string | undefined {
    return this.#secret;
  }

  get life() {
    const { name, version } = this.#told;
    return { name, version, connectedAt: this.connectedAt, expireAt: this.grant.expireAt };
  }

  /** The JavaScript client doesn't find channels by number in Protobuf: in Node it compares objects. */
  get takesNumbers(): boolean {
    return this.codec.name === "json" || this.#told.name !== "js";
  }

  /** Returns the facts that are told to the application. */
  facts(): ClientFacts {
    const { request, session, codec } = this;
    const hasHeaders = (this.constructor as typeof Actor).requestHeaders.length > 0;
    return {
      client: this.clientId,
      transport: session?.transport ?? "websocket",
      encoding: codec.name === "json" ? "json" : "binary",
      user: this.user,
      meta: this.grant.meta,
      headers: hasHeaders ? definedOf(request.headers) : {},
      remoteAddress: request.clientAddress ?? "",
      emulatedHeaders: this.#told.headers,
    };
  }

  /** Begins with what the request tells. */
  protected begin(): void {
    const { protocol } = this;
    const format = this.parameter("format") ?? this.parameter("cf_protocol");
    if (protocol === "centrifuge-protobuf" || format === "protobuf") this.codec = protobufCodec;
    // The address can't be asked for any more when the client has gone: a first question keeps the answer.
    if (this.server.backend.disconnected !== undefined) this.facts();
  }

  /** A parameter of the URL. Most URLs have none, and a parsed query would be kept as long as the client. */
  protected parameter(name: string): string | null {
    return this.request.url.includes("?") ? this.request.query.get(name) : null;
  }

  protected tellsOfItself(request: ConnectRequest): void {
    this.#told = toldBy(request);
  }

  /** Makes what a client without a WebSocket needs to send more commands. */
  protected beginEmulation(): { readonly session?: string; readonly node?: string } {
    if (this.session === undefined) return {};
    this.#secret = builtins.crypto.randomUUID();
    return { session: this.#secret, node: this.address };
  }

  protected isSecret(secret: string): boolean {
    const [own, given] = [Buffer.from(this.#secret ?? ""), Buffer.from(secret)];
    return own.length > 0 && own.length === given.length && builtins.crypto.timingSafeEqual(own, given);
  }

  /** Returns who the client is, as data. */
  protected saveIdentity(): IdentityState {
    const { user, expireAt, info, meta } = this.grant;
    const grant = { user, expireAt, info, meta };
    return { clientId: this.clientId, told: this.#told, grant, connectedAt: this.connectedAt, secret: this.#secret };
  }

  /** Takes over from another object of the client. */
  protected loadIdentity({ clientId, told, grant, connectedAt, secret }: IdentityState): void {
    const { info, meta } = grant;
    this.clientId = clientId;
    this.#told = toldBy(told);
    // Copies: the whole state would be kept for the sake of a few bytes.
    this.grant = { ...grant, info: info && Buffer.from(info), meta: meta && Buffer.from(meta) };
    this.connectedAt = connectedAt;
    this.#secret = secret;
  }
}

/** Returns what a client told; the object of the client before if both told the same. */
function toldBy({ name, version, headers }: Told): Told {
  if (Object.keys(headers).length > 0) return { name, version, headers };
  if (lastTold.name !== name || lastTold.version !== version) {
    lastTold = { name, version, headers: NOTHING_TOLD.headers };
  }
  return lastTold;
}

function definedOf(headers: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter((header): header is [string, string] => header[1] !== undefined),
  );
}
