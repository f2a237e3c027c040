/** The options of `board.reload`: types, defaults and checks. */
import { optionError } from "../../../wire/handshake/option-check.ts";
import { CloseCode } from "../../../wire/protocol/close-code.ts";
import type { ActorName } from "../../connection/connection-host.ts";
import type { ShutdownSettings } from "../../shard/shutdown.ts";
import { checkCloseOptions } from "./close-options.ts";
import { check, withoutUndefined } from "./option-validation.ts";

export interface ReloadOptions {
  /** File URL of the actor module. Default: the one before, loaded anew. */
  readonly actor?: URL | string;
  /** File URLs of other actor modules, by names that the board has. Default: those before, loaded anew. */
  readonly actors?: Readonly<Record<string, URL | string>>;
  /** Time for closing the connections that can't move, and for their actors' `closed`. Default: 5 s. */
  readonly timeoutMs?: number;
  /**
   * Time for which an old thread goes on for connections whose TLS it does, which can't move. What is left then is
   * closed with 1012. The next reload closes what the one before has kept. 0: such connections are closed at once, too.
   * Default: 10 min.
   */
  readonly keepOldMs?: number;
  /** Number of connections that can't move, over the whole board, that are closed at once. Default: 10,000. */
  readonly batchSize?: number;
  /** Time between two batches. Default: 2 s. */
  readonly batchIntervalMs?: number;
}

/** Treatment of connections that can't move when threads are replaced. */
export interface RenewalSettings {
  readonly close: ShutdownSettings;
  /** Milliseconds. 0: nothing is kept. */
  readonly keepOldMs: number;
}

export interface ReloadSettings {
  readonly actors: ReadonlyMap<ActorName, string>;
  readonly renewal: RenewalSettings;
}

const KEEP_OLD_MS = 600_000;

/** Fills in the defaults of what a reload and a recycling have in common. Throws `ERR_OPTION`. */
export function renewalSettings({
  keepOldMs = KEEP_OLD_MS,
  ...close
}: Omit<ReloadOptions, "actor" | "actors"> = {}): RenewalSettings {
  return { close: checkCloseOptions({ ...close, code: CloseCode.serviceRestart }), keepOldMs };
}

/**
 * Checks the options of `reload`. Throws `ERR_OPTION`.
 *
 * @param before URLs of the board's actor modules, by name
 */
export function checkReloadOptions(options: ReloadOptions, before: ReadonlyMap<ActorName, string>): ReloadSettings {
  check("reload", options, ["actor", "actors", "timeoutMs", "keepOldMs", "batchSize", "batchIntervalMs"]);
  const { actor, actors: others = {}, ...close } = withoutUndefined(options);
  const actors = new Map(before);
  if (actor !== undefined) actors.set(undefined, String(actor));
  for (const [name, url] of Object.entries(others)) {
    if (!before.has(name)) throw optionError(`reload: actors: the board has no actor module ${JSON.stringify(name)}`);
    actors.set(name, String(url));
  }
  return { actors, renewal: renewalSettings(close) };
}
