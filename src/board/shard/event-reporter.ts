/**
 * Reports the events of a shard to the main thread, up to a limit for each kind. Beyond the limit an event is only
 * counted, so that an event of thousands of connections at once doesn't become thousands of messages.
 */
import { ReportLimit } from "../../runtime/stats/report-limit.ts";
import type { ShardEvent, ShardEventName, ShardEventSink, ShardEvents } from "../connection/shard-events.ts";

export class EventReporter implements ShardEventSink {
  readonly #post: (event: ShardEvent) => void;
  readonly #limits = {
    handlerTimedOut: new ReportLimit(),
    slowConsumer: new ReportLimit(),
    abnormalClosure: new ReportLimit(),
    moveFailed: new ReportLimit(),
    subscriptionNotResumed: new ReportLimit(),
    handshakeFailed: new ReportLimit(),
    acceptFailed: new ReportLimit(1),
    /** Limit of detached failures: one handler may leave any number of promises alone. Other failures have no limit. */
    detached: new ReportLimit(),
  };

  constructor(post: (event: ShardEvent) => void) {
    this.#post = post;
  }

  report<Name extends ShardEventName>(name: Name, detail: ShardEvents[Name]): void {
    if (this.#limitOf(name, detail)?.allows() === false) return;
    this.#post({ kind: "event", name, detail } as ShardEvent);
  }

  /** Returns the limit of an event; undefined for none. Dead letters have a limit of their own: `DeadLetters`. */
  #limitOf(name: ShardEventName, detail: ShardEvents[ShardEventName]): ReportLimit | undefined {
    if (name === "actorFailed")
      return "handler" in detail && detail.handler === "detached" ? this.#limits.detached : undefined;
    return name === "deadLetter" ? undefined : this.#limits[name];
  }
}
