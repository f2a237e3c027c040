/** The package's entry `switchboard/upgrade`: upgrades and tunnels for any protocol. */
export { type ErrorCode, type ErrorKind, SwitchboardError } from "../../errors.ts";
export { onUpgrade } from "./on-upgrade.ts";
export { type AnsweredUpgrade, openTunnel, requestUpgrade, type UpgradeRequestOptions } from "./request.ts";
export type { AnswerHeaders, UpgradeRefusal } from "./response.ts";
export {
  answerUpgrade,
  serveUpgrades,
  type UpgradeAcceptance,
  type UpgradeAnswer,
  type UpgradeService,
} from "./serve.ts";
export { type Downcast, Upgraded } from "./upgraded.ts";
