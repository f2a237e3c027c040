export { Actor, type Params, type PublishOptions } from "./actor/actor.ts";
export { type Address, isAddress } from "./actor/address.ts";
export type { HandlerTrace } from "./actor/diagnostics.ts";
export type { PublishResult, SendResult, SlowConsumerPolicy } from "./actor/flow.ts";
export type { AskOptions, DeadLetterReason, TellResult } from "./actor/mail.ts";
export type { FailureOutcome, Supervision } from "./actor/supervision.ts";
export { type ErrorKind, SwitchboardError } from "./errors.ts";
export type { CompressionOptions } from "./protocol/compression.ts";
export type { Message, Sendable } from "./protocol/message.ts";
export type { Admission, Authorize } from "./shard/authorize.ts";
export type { ConnectionDiagnostics, UpgradeDiagnostics } from "./shard/diagnostics.ts";
export type { DrainCounts } from "./shard/drain.ts";
export type { ConnectionInfo } from "./shard/queries.ts";
export type { Pem, TlsIdentity, TlsOptions } from "./shard/tls-settings.ts";
export type { UpgradeCounts } from "./shard/upgrade-counters.ts";
export type { AdmissionLimits } from "./switchboard/admission-control.ts";
export type { CloseOnSignalsOptions, CloseOptions } from "./switchboard/close-options.ts";
export type { ConnectionsOptions, ConnectionsPage } from "./switchboard/listing.ts";
export type { AttachOptions, ListenOptions, ShardResourceLimits, StartOptions } from "./switchboard/options.ts";
export type { Placement, PlacementFunction, ShardCandidate, StickyBy } from "./switchboard/placement.ts";
export type { AbnormalClosure, ActorFailure, SlowConsumer } from "./switchboard/shard-handle.ts";
export type { ShardLoss, ShardLossReason } from "./switchboard/shard-loss.ts";
export type { ShardState } from "./switchboard/shard-pool.ts";
export {
  type DeadLetter,
  type ShardStats,
  type Stats,
  Switchboard,
  type SwitchboardEvents,
} from "./switchboard/switchboard.ts";
export type { UpgradeRefusal } from "./upgrade/response.ts";
