/** The port between an acceptor and its board or its shard, and the demands on upgrades. */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Params } from "../../runtime/actor/context/actor-context.ts";
import type { UpgradeCounters } from "../../runtime/stats/upgrade-counters.ts";
import type { ServerHandshakeOptions } from "../../wire/handshake/server.ts";
import type { CompressionOptions } from "../../wire/protocol/deflate/compression.ts";
import type { HandoffResult } from "../../wire/transport/pending-handoffs.ts";
import type { UpgradeRefusal } from "../../wire/upgrade/response.ts";
import type { ActorName, HandoffEnvelope } from "../connection/connection-host.ts";
import type { Permit } from "./admission-control.ts";
import type { Authorize } from "./authorize.ts";
import type { ClientAddresses } from "./client-address.ts";
import type { HeldUpgrades } from "./held-upgrades.ts";
import type { OpeningHandshake } from "./opening-handshake.ts";

/** The shard that an accepted connection goes to. */
export interface Destination {
  readonly shard: number;
  /** Returns the names of the headers that the actor class of this name asks for, in lower case. */
  requestHeadersOf(actor: ActorName): readonly string[];
  handOff(socket: Duplex, head: Buffer, envelope: HandoffEnvelope): Promise<HandoffResult>;
}

/** The demands on the upgrades of one path. */
export interface HandshakeSettings extends ServerHandshakeOptions {
  /** Time for a whole handshake, in milliseconds. */
  readonly handshakeTimeoutMs: number;
  /** Default: everybody gets in, without a session. */
  readonly authorize?: Authorize;
  /** Name of the actor module that serves the connections. Default: the board's default module. */
  readonly actor?: string;
}

/** The calls of an acceptor to its board or its shard. */
export interface AcceptorOwner {
  /** True if connections go to another thread: sockets must then be movable, and sessions cloneable. */
  readonly isRemote: boolean;
  /** Keeps a place for a handshake, or says how the handshake is refused. Absent where there are no limits. */
  readonly admit?: ((request: IncomingMessage) => Permit | UpgradeRefusal) | undefined;
  /**
   * Picks the shard of a new connection. Returns undefined when none takes connections now. An error is answered with
   * 500 and reported.
   */
  place(request: IncomingMessage, params: Params, actor: ActorName): Destination | undefined;
  /** The one destination, where connections stay in the thread of their handshake. */
  readonly here?: Destination;
  /**
   * Passes an upgrade on to the process that has taken over. Returns false, and changes nothing, if that can't be.
   * Absent where nothing can take over.
   */
  passOn?(handshake: OpeningHandshake): boolean;
  /** Finds the client behind trusted proxies. Absent where no proxies are trusted. */
  readonly clients?: ClientAddresses | undefined;
  /** Reports a handshake that failed for a reason that is not its peer's. */
  handshakeFailed(error: Error): void;
  /** Reports a handshake that was refused because few descriptors are left. */
  acceptFailed(error: Error): void;
}

export interface AcceptorOptions {
  /** Default: new ones. */
  readonly counters?: UpgradeCounters;
  /** Beginning of all ids, in a cluster: `<node>.`. Asked for with each id. Default: "". */
  readonly addressPrefix?: () => string;
  /** Prefix of the serial part of ids, so that the ids of two acceptors differ. Default: "". */
  readonly series?: string;
  /** Compression of messages. Default: none. */
  readonly compression?: CompressionOptions | undefined;
  /** Upgrades that wait while another process takes over. Default: none ever do. */
  readonly held?: HeldUpgrades;
}
