/** The main entry of the package: the public classes, functions and types. */
export type { AdmissionLimits } from "./board/accept/admission-control.ts";
export type { Admission, Authorize, Denial, Verdict } from "./board/accept/authorize.ts";
export type { AnyHttp2Server } from "./board/accept/routes/http2-route.ts";
export type { Pem, TlsIdentity, TlsOptions } from "./board/accept/tls-settings.ts";
export type { ConnectionInfo } from "./board/connection/connection-info.ts";
export type { ConnectionDiagnostics, UpgradeDiagnostics } from "./board/connection/diagnostics.ts";
export type { Surveyed } from "./board/shard/actor-module.ts";
export type { MoveCounts } from "./board/shard/moving/messages.ts";
export type { ShutdownCounts } from "./board/shard/shutdown.ts";
export type { EngineState, EngineStats } from "./board/switchboard/board-topics.ts";
export type { ClusterStats, NodeCounts, NodeFacts, NodeStatus } from "./board/switchboard/cluster/node-list.ts";
export type {
  AbnormalClosure,
  AcceptFailure,
  ActorFailure,
  DeadLetter,
  HandedOver,
  HandlerTimeout,
  HistoryLeft,
  MovedConnection,
  MoveFailure,
  Report,
  SlowConsumer,
  SubscriptionNotResumed,
  SuccessorFailure,
  SwitchboardEvents,
  TakenOver,
} from "./board/switchboard/events.ts";
export type { ConnectionsPage, ListConnectionsOptions } from "./board/switchboard/listing.ts";
export type { EvacuationResult, MoveRefusal, MoveResult } from "./board/switchboard/moving/moving.ts";
export type { RebalanceResult } from "./board/switchboard/moving/rebalance.ts";
export type { RecycleReason } from "./board/switchboard/moving/recycle-watch.ts";
export type { RecycledShard, RecycleFailure } from "./board/switchboard/moving/recycler.ts";
export type { RenewalResult } from "./board/switchboard/moving/renewals.ts";
export type { CloseOnSignalsOptions, CloseOptions } from "./board/switchboard/options/close-options.ts";
export type { AttachOptions, ListenOptions, ServerListenOptions } from "./board/switchboard/options/listen-options.ts";
export type { AutoRecycleOptions, RecycleOptions } from "./board/switchboard/options/recycle-options.ts";
export type { ReloadOptions } from "./board/switchboard/options/reload-options.ts";
export type { ShardResourceLimits, SocketsOption, StartOptions } from "./board/switchboard/options/start-options.ts";
export type { TakeoverOptions } from "./board/switchboard/options/takeover-options.ts";
export type { Placement, PlacementFunction, ShardCandidate, StickyBy } from "./board/switchboard/pool/placement.ts";
export type { ShardLoss, ShardLossReason } from "./board/switchboard/pool/shard-loss.ts";
export type { ShardState } from "./board/switchboard/pool/shard-slot.ts";
export type { SocketsChoice } from "./board/switchboard/sockets-choice.ts";
export type { Health, ShardStats, Stats } from "./board/switchboard/stats.ts";
export type { SurveyAnswer, SurveyOptions } from "./board/switchboard/survey.ts";
export { Switchboard } from "./board/switchboard/switchboard.ts";
export { type ErrorCode, type ErrorKind, SwitchboardError } from "./errors.ts";
export { Actor, type Handled } from "./runtime/actor/actor.ts";
export { type Address, isAddress } from "./runtime/actor/address.ts";
export type { Params, PublishOptions } from "./runtime/actor/context/actor-context.ts";
export type { ConnectionRequest } from "./runtime/actor/context/connection-request.ts";
export type { PublishResult, Stored } from "./runtime/actor/context/publish-result.ts";
export type { HandlerTrace } from "./runtime/actor/diagnostics.ts";
export type { AskOptions, DeadLetterReason, TellResult } from "./runtime/actor/mail.ts";
export type { StayReason } from "./runtime/actor/moving/suspension.ts";
export type { SlowConsumerClose } from "./runtime/actor/slow-consumer-close.ts";
export type { FailureOutcome, Supervision } from "./runtime/actor/supervision.ts";
export type { ActorCounts } from "./runtime/stats/actor-counters.ts";
export type { UpgradeCounts } from "./runtime/stats/upgrade-counters.ts";
export type { EngineHealth, EngineSpec, PresenceStats } from "./runtime/streams/engine.ts";
export { type MemoryEngineOptions, memory } from "./runtime/streams/memory/memory-options.ts";
export { isPosition, type Position } from "./runtime/streams/position.ts";
export type { Encode, Publication } from "./runtime/streams/publication.ts";
export type { Subscribed, SubscribeOptions } from "./runtime/streams/subscribe.ts";
export type { HistoryPage, PresenceEvent, PresenceMember, ReadHistoryOptions } from "./runtime/streams/topic-memory.ts";
export type {
  HistoryOptions,
  PresenceOptions,
  TopicOptions,
  TopicsOption,
} from "./runtime/streams/topic-rules.ts";
export type { OriginFunction, Origins } from "./wire/handshake/origins.ts";
export type { CompressionOptions } from "./wire/protocol/deflate/compression.ts";
export type { Message, Sendable } from "./wire/protocol/message.ts";
export type { SendResult } from "./wire/protocol/send-result.ts";
export type { SlowConsumerPolicy } from "./wire/protocol/slow-consumer-policy.ts";
export type { AnswerHeaders, UpgradeRefusal } from "./wire/upgrade/response.ts";
