/** Emits the events of a board, those of its shards included. `Switchboard` has one. */
import type { EventEmitter } from "eventemitter3";
import { reviveError, SwitchboardError } from "../../errors.ts";
import { ReportLimit } from "../../runtime/stats/report-limit.ts";
import type { EngineHealth } from "../../runtime/streams/engine.ts";
import type { LeftBehind } from "../../runtime/streams/takeover.ts";
import type { ShardEvent } from "../connection/shard-events.ts";
import type { ModuleReport } from "../shard/messages.ts";
import type { SwitchboardEvents } from "./events.ts";

/** Events that become a process warning when nothing listens to them. */
const FAILURES: ReadonlySet<keyof SwitchboardEvents> = new Set([
  "actorFailed",
  "shardLost",
  "shardFailed",
  "recycleFailed",
  "handshakeFailed",
  "acceptFailed",
  "engineDown",
  "engineFull",
  "engineLost",
  "engineFailed",
  "takeoverFailed",
  "successorFailed",
  "takeoverUnavailable",
  "subscriptionNotResumed",
  "historyLeft",
  "programStateLeft",
] as const);

/** Emits events on a board. Without a listener, the first failure of each kind becomes a process warning. */
export class EventAnnouncer {
  readonly #board: EventEmitter<SwitchboardEvents>;
  readonly #warned = new Set<keyof SwitchboardEvents>();
  readonly #failedHandshakes = new ReportLimit();
  readonly #failedAccepts = new ReportLimit(1);
  #acceptsFailed = 0;

  constructor(board: EventEmitter<SwitchboardEvents>) {
    this.#board = board;
  }

  /** Number of sockets that the main thread refused because few descriptors were left, and of failures of its ports. */
  get acceptsFailed(): number {
    return this.#acceptsFailed;
  }

  /** Announces a failure of a handshake in the main thread, at most 100 in a second. */
  readonly handshakeFailed = (error: Error): void => {
    if (this.#failedHandshakes.allows()) this.announce("handshakeFailed", error);
  };

  /** Counts a failure to accept in the main thread, and announces at most one in a second. */
  readonly acceptFailed = (error: Error): void => {
    this.#acceptsFailed++;
    if (this.#failedAccepts.allows()) this.announce("acceptFailed", { shard: undefined, error });
  };

  /** Announces that the engine is down or deaf, refuses to store, or is up again. */
  engineHealthChanged({ status, reason }: EngineHealth): void {
    if (status === "up" && reason === undefined) this.#board.emit("engineUp");
    else if (status === "up") this.announce("engineFull", new SwitchboardError("ERR_ENGINE_FULL", reason ?? ""));
    else
      this.announce("engineDown", new SwitchboardError("ERR_ENGINE_UNAVAILABLE", reason ?? `the engine is ${status}`));
  }

  /** Announces that publications stay behind in a takeover. */
  historyLeft({ topics, publications }: LeftBehind): void {
    const message = `${publications} publications of ${topics} topics stay behind in the takeover: they are more than maxTakeoverBytes`;
    this.announce("historyLeft", { topics, publications, error: new SwitchboardError("ERR_ENGINE_FULL", message) });
  }

  /** Announces an event of a shard. */
  shardEvent(shard: number, { name, detail }: ShardEvent): void {
    if (!("error" in detail)) this.announce(name, { shard, ...detail });
    else if (name === "handshakeFailed") this.announce(name, reviveError(detail.error));
    else this.announce(name, { shard, ...detail, error: reviveError(detail.error) });
  }

  /** Announces what actors of a shard have reported. */
  reported(shard: number, reports: readonly ModuleReport[]): void {
    for (const { address, value } of reports) this.#board.emit("reported", { shard, address, value });
  }

  /** Emits an event, or a warning for a failure that has no listener. */
  announce(name: keyof SwitchboardEvents, detail: object): void {
    const emit = this.#board.emit as (name: keyof SwitchboardEvents, detail: object) => boolean;
    if (emit.call(this.#board, name, detail) || !FAILURES.has(name) || this.#warned.has(name)) return;
    this.#warned.add(name);
    const { error } = detail instanceof Error ? { error: detail } : (detail as { readonly error: Error });
    process.emitWarning(`${error.stack ?? error.message}`, {
      type: "SwitchboardWarning",
      code: name,
      detail: `Listen to the board's "${name}" event to see all of them.`,
    });
  }
}
