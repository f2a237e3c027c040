/** The part of a shard that `Mover`, `Passing` and their parts use. `Shard` gives it to them. */
import type { Departure } from "../../../runtime/bus/moving/move.ts";
import type { MailRouter } from "../../../runtime/mail/mail-router.ts";
import type { RelayReceiver } from "../../../wire/transport/relay/relay.ts";
import type { TcpSockets } from "../../../wire/transport/tcp-sockets.ts";
import type { GivenServer } from "../../accept/sockets/socket-acceptor.ts";
import type { Connection } from "../../connection/connection.ts";
import type { ActorName, ConnectionHost } from "../../connection/connection-host.ts";
import type { TopicsLeaver } from "../../connection/subscriptions.ts";
import type { ActorModule } from "../actor-module.ts";
import type { ConnectionRegistry } from "../connection-registry.ts";
import type { MovesReport } from "./messages.ts";

export interface MoverOwner {
  /** Number of this thread. */
  readonly life: number;
  readonly host: ConnectionHost;
  readonly connections: ConnectionRegistry;
  readonly sockets: TcpSockets;
  /** True while the shard closes its connections: none moves. */
  readonly isClosing: boolean;
  moduleOf(actor: ActorName): ActorModule | undefined;
  /** Begins to move subscriptions to another thread. */
  leaveFor<L extends TopicsLeaver>(life: number, leavers: readonly L[]): Departure<L>;
  /** Resolves when all publishes and mail of this thread have arrived in the other threads. */
  publishesArrived(): Promise<void>;
  readonly mail: Pick<MailRouter, "leaveFor" | "expect" | "arrived">;
  /** Streams that the main thread relays. */
  readonly relay: RelayReceiver;
  /** A connection has left. Returns the key of its client, if clients are counted. */
  departed(connection: Connection): string | undefined;
  /** A connection has come, and is about to be resumed. */
  arrived(connection: Connection, clientKey: string | undefined, openedAt: number): void;
  /** A connection that has come is open. */
  resumed(connection: Connection): void;
  /** A listening server has come from another thread of this shard. */
  serverArrived(given: GivenServer): void;
  report(report: MovesReport): void;
}
