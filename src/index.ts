export { Actor, type Params, type PublishOptions, type SendResult } from "./actor/actor.ts";
export { type ErrorKind, SwitchboardError } from "./errors.ts";
export type { Message, Sendable } from "./protocol/message.ts";
export type { UpgradeCounts } from "./switchboard/acceptor.ts";
export type { Admission, Authorize } from "./switchboard/authorize.ts";
export type { AttachOptions, CloseOptions, ListenOptions, StartOptions } from "./switchboard/options.ts";
export type { ActorFailure, DrainCounts, ShardLoss } from "./switchboard/shard-handle.ts";
export { type ShardStats, type Stats, Switchboard, type SwitchboardEvents } from "./switchboard/switchboard.ts";
export type { UpgradeRefusal } from "./upgrade/response.ts";
