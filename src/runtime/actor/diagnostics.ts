/** Tracing of handler calls through `node:diagnostics_channel`. */
import { tracingChannel } from "node:diagnostics_channel";
import type { Address } from "./address.ts";

/** Detail of the events of `tracing:switchboard.handler`: one object for all events of one call. */
export interface HandlerTrace {
  readonly address: Address;
  readonly shard: number;
  /** Name of the actor module, of the option `actors`; undefined for the default module. */
  readonly actor: string | undefined;
  readonly handler: string;
  /** Message or mail that the handler got. */
  readonly input?: unknown;
  result?: unknown;
  error?: unknown;
}

/** Channel of handler calls: `start`, `end`, `asyncStart`, `asyncEnd`, `error`. */
const handlers = tracingChannel<HandlerTrace, HandlerTrace>("switchboard.handler");

/** True if the channel has a subscriber in this thread. */
export function handlersAreTraced(): boolean {
  return handlers.start.hasSubscribers;
}

/** Calls a handler and publishes the call. */
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
