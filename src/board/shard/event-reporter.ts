/**
 * Reports the events of a shard to the main thread, at most so many of each kind in a second. Beyond the limit an event is only counted,
 * so that what happens to thousands of connections at once doesn't become thousands of messages.
 */
import { ReportLimit } from "../../runtime/stats/report-limit.ts";
import type { ShardEvent, ShardEventName, ShardEventSink, ShardEvents } from "../connection/shard-events.ts";

export class EventReporter implements ShardEventSink {
  readonly #post: (event: ShardEvent) => void;
  readonly #limits = {
    handlerTimedOut: new ReportLimit(),
    slowConsumer: new ReportLimit(),
    abnormalClosure: new ReportLimit(),
    handshakeFailed: new ReportLimit(),
    acceptFailed: new ReportLimit(1),
    /** Failures of handlers have no limit; but one handler may leave any number of promises alone. */
    detached: new ReportLimit(),
  };

  constructor(post: (event: ShardEvent) => void) {
    this.#post = post;
  }

  report<Name extends ShardEventName>(name: Name, detail: ShardEvents[Name]): void {
    if (this.#limitOf(name, detail)?.allows() === false) return;
    this.#post({ kind: "event", name, detail } as ShardEvent);
  }

  /** Undefined for events without a limit. Dead letters have one of their own: `DeadLetters`. */
  #limitOf(name: ShardEventName, detail: ShardEvents[ShardEventName]): ReportLimit | undefined {
    if (name === "actorFailed")
      return "handler" in detail && detail.handler === "detached" ? this.#limits.detached : undefined;
    return name === "deadLetter" ? undefined : this.#limits[name];
  }
}
