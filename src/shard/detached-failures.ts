import { ReportLimit } from "./report-limit.ts";

/**
 * Rejections of promises that nobody waits for: a handler made them and didn't await them. They end no shard, but are counted and reported.
 * Whose they are isn't known: `AsyncLocalStorage` would tell, and costs 230 ns per message (Node 26.10), near half of what a small echo takes.
 */
export function catchDetached(count: () => void, report: (error: unknown) => void): () => void {
  const limit = new ReportLimit();
  const listener = (error: unknown): void => {
    count();
    if (limit.allows()) report(error);
  };
  process.on("unhandledRejection", listener);
  return () => void process.off("unhandledRejection", listener);
}
