/**
 * The Lua scripts that run inside Redis, each in one atomic step. They read the time of Redis, never that of a node.
 * README.md ("What is kept in Redis") explains the keys. A script gets the identity of the server as its first
 * argument.
 */
import { builtins } from "../../../wire/node-internals/builtins.ts";
import { CHANGE, MEMBERS, REFRESH, STATS } from "./presence-scripts.ts";
import { HISTORY, PUBLISH, RENEW } from "./stream-scripts.ts";

export interface Script {
  readonly name: string;
  readonly text: string;
  /** SHA-1 of the text, by which `EVALSHA` names the script. */
  readonly sha: string;
}

/** Length of an epoch, in bytes. */
export const EPOCH_LENGTH = 16;
/** Length of the identity of a server, in characters. */
export const IDENTITY_LENGTH = 16;

export interface Scripts {
  readonly publish: Script;
  readonly history: Script;
  readonly renew: Script;
  readonly change: Script;
  readonly refresh: Script;
  readonly members: Script;
  readonly stats: Script;
}

/**
 * Returns the scripts. In a cluster they publish by `SPUBLISH`, which only the server with the channel's slot carries.
 */
export function createScripts(isCluster: boolean): Scripts {
  const create = (name: string, source: string): Script => {
    const text = isCluster ? source.replaceAll("'PUBLISH'", "'SPUBLISH'") : source;
    return { name, text, sha: builtins.crypto.createHash("sha1").update(text).digest("hex") };
  };
  return {
    publish: create("publish", PUBLISH),
    history: create("history", HISTORY),
    renew: create("renew", RENEW),
    change: create("change", CHANGE),
    refresh: create("refresh", REFRESH),
    members: create("members", MEMBERS),
    stats: create("stats", STATS),
  };
}

/** Returns the identity of a server from its `INFO server` and `INFO replication`, as the scripts compute it. */
export function identityOf(server: string, replication: string): string {
  const run = /run_id:(\w+)/.exec(server)?.[1] ?? "";
  const history = /master_replid:(\w+)/.exec(replication)?.[1] ?? "";
  return builtins.crypto.createHash("sha1").update(run).update(history).digest("hex").slice(0, IDENTITY_LENGTH);
}
