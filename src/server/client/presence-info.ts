/** The facts about a client in presence, and the same facts in the protocol. */
import { MAX_INFO_BYTES } from "../../runtime/feeds/subscribe-options.ts";
import type { PresenceMember } from "../../runtime/streams/topic-memory.ts";
import type { ClientInfo } from "../protocol/messages.ts";

/**
 * The info of a client in presence, beside the user. Raw JSON and bytes are kept as strings, and come out unchanged.
 */
interface KeptInfo {
  readonly client: string;
  readonly conn?: string | undefined;
  readonly chan?: string | undefined;
}

/** An anonymous client is a user, too, for presence: its name there begins with the letter as all others do. */
const PREFIX = "u";

export function presenceUser(user: string): string {
  return PREFIX + user;
}

/**
 * Returns what presence keeps. If the infos are larger than presence takes, they are left out: the client is in the
 * channel all the same.
 */
export function keptInfo({ client, conn_info, chan_info }: ClientInfo): {
  readonly kept: KeptInfo;
  /** Bytes that presence would have to take for the infos; 0 if it takes them. */
  readonly leftOutBytes: number;
} {
  const kept: KeptInfo = { client, conn: conn_info?.toString("latin1"), chan: chan_info?.toString("latin1") };
  const bytes = Buffer.byteLength(JSON.stringify(kept));
  return bytes > MAX_INFO_BYTES ? { kept: { client }, leftOutBytes: bytes } : { kept, leftOutBytes: 0 };
}

/** Returns undefined for a member that no client of this protocol is, as an actor of one's own. */
export function clientInfoOf({ user, info }: PresenceMember): ClientInfo | undefined {
  if (typeof info !== "object" || info === null || !("client" in info) || user === undefined) return undefined;
  const { client, conn, chan } = info as KeptInfo;
  return {
    user: user.slice(PREFIX.length),
    client,
    conn_info: conn === undefined ? undefined : Buffer.from(conn, "latin1"),
    chan_info: chan === undefined ? undefined : Buffer.from(chan, "latin1"),
  };
}
