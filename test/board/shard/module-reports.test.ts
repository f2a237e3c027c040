import { expect, it, onTestFinished, vi } from "vitest";
import type { ModuleReport } from "../../../src/board/shard/messages.ts";
import { MAX_REPORTS, ModuleReports } from "../../../src/board/shard/module-reports.ts";
import { Actor, type Report } from "../../../src/index.ts";
import { setReportSink } from "../../../src/runtime/actor/report-sink.ts";
import { startBoard } from "../../support/board.ts";
import { text } from "../../support/frames.ts";
import { RawClient } from "../../support/raw-client.ts";

it("emits what actors report, in order, with the address, the shard and a copy of the value", async () => {
  const { board, port } = await startBoard({ actor: "surveying" });
  const reports: Report[] = [];
  board.on("reported", (report) => void reports.push(report));
  const client = await RawClient.open({ port });
  client.write(text('{"report":"a","times":3}'));
  client.write(text('{"report":"b","by":"module"}'));
  await vi.waitFor(() => expect(reports).toHaveLength(4));
  expect(reports).toEqual([
    { shard: 0, address: "0-0", value: { report: "a", i: 0 } },
    { shard: 0, address: "0-0", value: { report: "a", i: 1 } },
    { shard: 0, address: "0-0", value: { report: "a", i: 2 } },
    { shard: 0, address: undefined, value: { report: "b", i: 0 } },
  ]);
});

it("refuses and counts reports that the main thread has no room for, and takes more when it has handled some", async () => {
  const { board, port } = await startBoard({ actor: "surveying" });
  let count = 0;
  board.on("reported", () => void count++);
  const client = await RawClient.open({ port });
  client.write(text(`{"report":"a","times":${MAX_REPORTS + 7}}`));
  expect(await client.text()).toBe(String(MAX_REPORTS));
  await vi.waitFor(() => expect(count).toBe(MAX_REPORTS));
  expect(board.stats().shards[0]?.reportsRefused).toBe(7);
  client.write(text('{"report":"b","times":2}'));
  expect(await client.text()).toBe("2");
  await vi.waitFor(() => expect(count).toBe(MAX_REPORTS + 2));
});

it("reports what an actor reports while the board closes", async () => {
  const { board, port } = await startBoard({ actor: "surveying" });
  const reports: Report[] = [];
  board.on("reported", (report) => void reports.push(report));
  const client = await RawClient.open({ port });
  client.write(text('{"report":"last"}'));
  await client.text();
  await board.close({ timeoutMs: 0 });
  expect(reports).toMatchObject([{ value: { report: "last", i: 0 } }]);
});

it("sends the reports of one tick together, and those that wait when it is told to flush", async () => {
  const posts: (readonly ModuleReport[])[] = [];
  const reports = new ModuleReports(
    (batch) => posts.push(batch),
    () => {},
  );
  reports.report(1, undefined);
  reports.report(2, undefined);
  expect(() => reports.report(() => {}, undefined)).toThrow(
    expect.objectContaining({ code: "ERR_MAIL_NOT_CLONEABLE" }),
  );
  expect(posts).toEqual([]);
  reports.flush();
  const both = [
    { address: undefined, value: 1 },
    { address: undefined, value: 2 },
  ];
  expect(posts).toEqual([both]);
  reports.report(3, undefined);
  await vi.waitFor(() => expect(posts).toHaveLength(2));
});

it("throws ERR_NO_SHARD in a thread that runs no shard", () => {
  expect(() => Actor.report(1)).toThrow(expect.objectContaining({ code: "ERR_NO_SHARD" }));
  onTestFinished(() => setReportSink(undefined));
  setReportSink((value) => value === 1);
  expect(Actor.report(1)).toBe(true);
});
