import { tracingChannel } from "node:diagnostics_channel";
import type { Address } from "./address.ts";

/** What the events of `tracing:switchboard.handler` carry; one object for all events of one call. */
export interface HandlerTrace {
  readonly address: Address;
  readonly shard: number;
  readonly handler: string;
  /** What the handler was given: a message, or mail. */
  readonly input?: unknown;
  result?: unknown;
  error?: unknown;
}

/** Calls of actors' handlers, as `node:diagnostics_channel` traces calls: `start`, `end`, `asyncStart`, `asyncEnd`, `error`. */
const handlers = tracingChannel<HandlerTrace, HandlerTrace>("switchboard.handler");

/** Whether anybody in this thread wants to know. */
export function handlersAreTraced(): boolean {
  return handlers.start.hasSubscribers;
}

/** Calls a handler, and tells of it. */
export function traceHandler(call: () => unknown, trace: HandlerTrace): unknown {
  const result = handlers.traceSync(call, trace);
  if (typeof (result as PromiseLike<unknown> | undefined)?.then !== "function") return result;
  const settled = (): void => handlers.asyncStart.runStores(trace, () => handlers.asyncEnd.publish(trace));
  return (result as PromiseLike<unknown>).then(
    (value) => {
      trace.result = value;
      settled();
      return value;
    },
    (error) => {
      trace.result = undefined;
      trace.error = error;
      handlers.error.publish(trace);
      settled();
      throw error;
    },
  );
}
