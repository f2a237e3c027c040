/** The port between the classes of this folder and their shard. `Shard` implements the port. */
import type { FairScheduler } from "../../../runtime/scheduling/fair-scheduler.ts";
import type { Counters } from "../../../runtime/stats/counters.ts";
import type { TcpSockets } from "../../../wire/transport/tcp-sockets.ts";
import type { BareSocket, Transport } from "../../../wire/transport/transport.ts";
import type { ActorName, HandoffEnvelope } from "../../connection/connection-host.ts";
import type { Acceptor } from "../acceptor.ts";
import type { Authorize } from "../authorize.ts";
import type { ClosedSocketReporter } from "../closed-socket-reporter.ts";
import type { HeldUpgrades } from "../held-upgrades.ts";

/** A socket without an answer that leaves for the process or the thread that has taken over. */
export interface LateSocket {
  /** Number of the port that accepted the socket. */
  readonly listenerId: number;
  readonly socket: BareSocket;
  /** Bytes that were read: a request, a part of one, or nothing. */
  readonly bytes: Uint8Array;
}

export interface SocketAcceptorOwner {
  readonly acceptor: Acceptor;
  readonly held: HeldUpgrades;
  readonly counters: Counters;
  readonly closedSockets: ClosedSocketReporter;
  /** Scheduler of the shard. */
  readonly turns: Pick<FairScheduler, "admitsBackground" | "addBackground">;
  /** Sockets of the shard from their accept on. Ports with TLS use those of Node. */
  readonly sockets: TcpSockets;
  /** Returns the export `authorize` of the actor module of this name. */
  authorizeOf(actor: ActorName): Authorize | undefined;
  /** Makes a connection of the transport. When it throws, the caller destroys the transport. */
  adopt(transport: Transport, envelope: HandoffEnvelope): void;
  /** Passes a socket on to the process or the thread that has taken over. The socket belongs to this function. */
  passOn(late: LateSocket): void;
  acceptFailed(error: Error): void;
}
