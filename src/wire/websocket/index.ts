/** The package's entry `switchboard/websocket`: WebSockets and HTTP upgrades in one thread, without shards. */
export { type ErrorCode, type ErrorKind, SwitchboardError } from "../../errors.ts";
export type { OriginFunction, Origins } from "../handshake/origins.ts";
export type { CompressionOptions } from "../protocol/deflate/compression.ts";
export type { Message, Sendable } from "../protocol/message.ts";
export type { SendResult } from "../protocol/send-result.ts";
export { onUpgrade } from "../upgrade/on-upgrade.ts";
export {
  type AnsweredUpgrade,
  openTunnel,
  requestUpgrade,
  type UpgradeRequestOptions,
} from "../upgrade/request.ts";
export type { AnswerHeaders, UpgradeRefusal } from "../upgrade/response.ts";
export {
  answerUpgrade,
  serveUpgrades,
  type UpgradeAcceptance,
  type UpgradeAnswer,
  type UpgradeService,
} from "../upgrade/serve.ts";
export { type Downcast, Upgraded } from "../upgrade/upgraded.ts";
export { connect } from "./connect.ts";
export type { ConnectOptions, TlsOptions } from "./connect-options.ts";
export type { WebSocketOptions } from "./options.ts";
export { type UpgradeConnectionOptions, type UpgradedConnection, upgradeConnection } from "./upgrade-connection.ts";
export type { Closed, WebSocket } from "./websocket.ts";
