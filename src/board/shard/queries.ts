/** Questions of the main thread to a shard, and their answers. */
import type { ErrorReport } from "../../errors.ts";
import type { Address } from "../../runtime/actor/address.ts";
import type { ActorName } from "../connection/connection-host.ts";
import type { ConnectionInfo } from "../connection/connection-info.ts";
import type {
  AnswerForQuery,
  CalmQuery,
  CloseStayersQuery,
  EmptiedQuery,
  GivenUpConnection,
  LendQuery,
  LentSocket,
  MoveCounts,
  MoveQuery,
  NodeCounts,
  PassHandlesQuery,
  PassInQuery,
  PassOutQuery,
  ResumeAllQuery,
  StandStillQuery,
  StartedConnections,
  StartPassedQuery,
  StayerCounts,
  SucceedQuery,
  SuspendAllQuery,
  TakenIn,
} from "./moving/messages.ts";

/** Question to a shard: about its connections, a survey that an actor module answers, or an order for moves. */
export type ShardQuery =
  | { readonly kind: "list"; readonly after: number; readonly limit: number }
  | { readonly kind: "disconnect"; readonly address: Address; readonly code: number; readonly reason: string }
  | { readonly kind: "survey"; readonly actor: ActorName; readonly question: unknown }
  | MoveQuery
  | SucceedQuery
  | CloseStayersQuery
  | EmptiedQuery
  | TakeoverQuery;

/** Question in a takeover by another process, or of another process. */
export type TakeoverQuery =
  | CalmQuery
  | StandStillQuery
  | SuspendAllQuery
  | ResumeAllQuery
  | LendQuery
  | PassOutQuery
  | PassInQuery
  | PassHandlesQuery
  | StartPassedQuery
  | AnswerForQuery
  /**
   * Close the listening servers of this shard, and let upgrades wait that come from now on. The sockets of the servers
   * stay open where the main thread has descriptors of them. The answer comes when no handshake is under way, or after
   * `limitMs`.
   */
  | { readonly kind: "stopAccepting"; readonly limitMs: number }
  /**
   * Accept upgrades again, also those that have waited; or pass them, and sockets without a request, on to the process
   * that has taken over (`LateUpgradeReport`).
   */
  | { readonly kind: "releaseUpgrades"; readonly phase: "open" | "passing" }
  /** Keep publishes to topics without history from now on. */
  | { readonly kind: "holdPublishes" }
  /** Make the publishes that were kept. `forwards`: report them, and all later ones, for another process. */
  | { readonly kind: "releasePublishes"; readonly forwards: boolean }
  /** The answer comes when all publishes and mail of this shard have arrived in their threads. */
  | { readonly kind: "settle" };

const TAKEOVER_QUERIES: ReadonlySet<string> = new Set<TakeoverQuery["kind"]>([
  "calm",
  "standStill",
  "suspendAll",
  "resumeAll",
  "lend",
  "passOut",
  "passIn",
  "passHandles",
  "startPassed",
  "answerFor",
  "stopAccepting",
  "releaseUpgrades",
  "holdPublishes",
  "releasePublishes",
  "settle",
]);

export function isTakeoverQuery(query: ShardQuery): query is TakeoverQuery {
  return TAKEOVER_QUERIES.has(query.kind);
}

/** Outcome of a survey in one actor module. */
export type SurveyOutcome =
  | { readonly kind: "answered"; readonly answer: unknown }
  | { readonly kind: "failed"; readonly error: ErrorReport };

export interface ShardPage {
  readonly connections: readonly ConnectionInfo[];
  /** Serial of the last connection of the page. */
  readonly last: number;
}

export interface QueryAnswers {
  readonly list: ShardPage;
  /** True if the connection was registered and open. */
  readonly disconnect: boolean;
  readonly survey: SurveyOutcome;
  readonly move: MoveCounts;
  readonly succeed: true;
  readonly calm: NodeCounts;
  /** Number of connections whose handlers go on. */
  readonly standStill: number;
  readonly closeStayers: StayerCounts;
  readonly emptied: true;
  /** Number of connections that are suspended. */
  readonly suspendAll: number;
  readonly resumeAll: true;
  /** None when all have gone ahead. */
  readonly lend: readonly LentSocket[];
  readonly passOut: readonly GivenUpConnection[];
  readonly passIn: TakenIn;
  readonly passHandles: true;
  readonly startPassed: StartedConnections;
  readonly answerFor: true;
  readonly stopAccepting: true;
  readonly releaseUpgrades: true;
  readonly holdPublishes: true;
  readonly releasePublishes: true;
  readonly settle: true;
}
