/**
 * The way from the code of actor modules to the program in the main thread. The shard sets the sink of its thread;
 * `Actor.report` uses it. The sink is kept by a global symbol, because a thread may hold several copies of this
 * package.
 */
import { SwitchboardError } from "../../errors.ts";
import type { Address } from "./address.ts";

/** Takes a copy of a value. Returns false if there is no room. Throws `ERR_MAIL_NOT_CLONEABLE`. */
export type ReportSink = (value: unknown, address: Address | undefined) => boolean;

const SINK: unique symbol = Symbol.for("switchboard.reports");
const thread: { [SINK]?: ReportSink | undefined } = globalThis as object;

/** Sets the sink of this thread; undefined removes it. */
export function setReportSink(sink: ReportSink | undefined): void {
  thread[SINK] = sink;
}

/** Gives a value to the sink of this thread. Throws `ERR_NO_SHARD` in a thread that is no shard. */
export function reportToBoard(value: unknown, address: Address | undefined): boolean {
  const sink = thread[SINK];
  if (sink !== undefined) return sink(value, address);
  throw new SwitchboardError("ERR_NO_SHARD", "report works in shards only: this thread runs no shard of a board");
}
