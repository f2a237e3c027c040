/** The ports of the HTTP API: a board has all of `ApiBoard`. */
import type { Switchboard } from "../../board/switchboard/switchboard.ts";
import type { PresenceMember } from "../../runtime/streams/topic-memory.ts";
import type { Channels } from "../channels/channels.ts";
import type { ClientInfo } from "../protocol/messages.ts";
import type { PublishMemory } from "./publish-memory.ts";

/** The calls of a board that the API uses. */
export type ApiBoard = Pick<
  Switchboard,
  "publish" | "history" | "removeHistory" | "presence" | "presenceStats" | "survey" | "nodes"
>;

/**
 * A method of the application, for `rpc`.
 *
 * @param params JSON text of the parameters; undefined if there are none
 * @returns data for `JSON.stringify`
 */
export type RpcMethod = (params: Buffer | undefined) => unknown;

/** The board and the settings that the methods of the API work with. */
export interface ApiContext {
  readonly board: ApiBoard;
  readonly channels: Channels;
  /** Name of the board's actor module that answers control questions. Undefined: the module `actor`. */
  readonly actor?: string | undefined;
  /** Returns a member of a channel as the client's actor told it; undefined for a member that is no client. */
  readonly clientInfoOf: (member: PresenceMember) => ClientInfo | undefined;
  /**
   * True if a publication with a `version` that isn't higher is suppressed. The versions are remembered in this thread:
   * false for an engine that other nodes share. `version` is then error 108.
   */
  readonly versions: boolean;
  /** Memory of publishes. Default: one of the API's own. */
  readonly publishMemory?: PublishMemory | undefined;
  /** Methods by name, for `rpc`. Undefined: `rpc` is error 108. */
  readonly rpc?: ReadonlyMap<string, RpcMethod> | undefined;
}
