/** Counts what is refused to the clients of a shard, for `/metrics`, and logs what clients do at the level `debug`. */
import type { ClientObserver, ObservedClient, Refused } from "../client/client-observer.ts";
import { DISCONNECTS, ERRORS } from "../protocol/codes.ts";
import type { Facts, Log } from "./log.ts";

/** Number of commands that were refused, by their kind and by the reason. Plain data. */
export type RefusedCount = readonly [command: string, reason: string, count: number];

/** Names of the protocol's own codes, in snake case. Applications answer others. */
const NAMES = new Map(
  [...Object.entries(ERRORS), ...Object.entries(DISCONNECTS)].map(([name, { code }]) => [code as number, snake(name)]),
);
const OTHER = "application";
/** Time between two warnings of one kind, in ms. */
const QUIET_MS = 30_000;

export class ClientWatch implements ClientObserver {
  readonly #log: Pick<Log, "debug" | "isDebug" | "warn">;
  #nextWarning = 0;
  readonly #refused = new Map<string, Map<string, number>>();

  constructor(log: Pick<Log, "debug" | "isDebug" | "warn">) {
    this.#log = log;
  }

  *refusedCounts(): Generator<RefusedCount> {
    for (const [command, reasons] of this.#refused)
      for (const [reason, count] of reasons) yield [command, reason, count];
  }

  connected(client: ObservedClient): void {
    this.#tell("a client has connected", client);
  }

  disconnected(client: ObservedClient, code: number, reason: string): void {
    this.#tell("a client has gone", client, { code, reason });
  }

  subscribed(client: ObservedClient, channel: string): void {
    this.#tell("a client has subscribed", client, { channel });
  }

  unsubscribed(client: ObservedClient, channel: string): void {
    this.#tell("a client has unsubscribed", client, { channel });
  }

  refused(client: ObservedClient, { command, channel, code, message, cause }: Refused): void {
    const reason = cause?.kind ?? NAMES.get(code) ?? OTHER;
    const reasons = this.#refused.get(command) ?? new Map<string, number>();
    this.#refused.set(command, reasons.set(reason, (reasons.get(reason) ?? 0) + 1));
    this.#tell("a command was refused", client, { command, channel, code, message, cause: cause?.detail });
  }

  /** A fault of the application's tokens or answers: a line now and then is enough. */
  infoLeftOut({ clientId, user }: ObservedClient, channel: string, bytes: number): void {
    const now = performance.now();
    if (now < this.#nextWarning) return;
    this.#nextWarning = now + QUIET_MS;
    const message = "info is too large for presence and is left out there: keep it under 4 KiB";
    this.#log.warn(message, { client: clientId, user, channel, bytes });
  }

  #tell(message: string, { clientId, user }: ObservedClient, facts: Facts = {}): void {
    if (this.#log.isDebug) this.#log.debug(message, { client: clientId, user, ...facts });
  }
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
