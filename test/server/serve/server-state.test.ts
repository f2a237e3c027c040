/** What a server gives in a takeover, and how it follows the takeovers of its board. */
import { EventEmitter } from "eventemitter3";
import { expect, it } from "vitest";
import type { Switchboard } from "../../../src/board/switchboard/switchboard.ts";
import { PublishMemory } from "../../../src/server/api/publish-memory.ts";
import { Log } from "../../../src/server/serve/log.ts";
import { OccupancyReports } from "../../../src/server/serve/occupancy-reports.ts";
import { ServerState } from "../../../src/server/serve/server-state.ts";

function start() {
  const told: string[] = [];
  const logged: string[] = [];
  const log = new Log({ level: "info", format: "text" }, (line) => logged.push(line));
  const memory = new PublishMemory();
  const occupancy = new OccupancyReports({
    tellsOccupancy: true,
    occupied: (channel) => told.push(`+${channel}`),
    vacated: (channel) => told.push(`-${channel}`),
    takeVacated: () => [],
  });
  const board = new EventEmitter();
  const state = new ServerState({ publishMemory: memory, occupancy }, log);
  state.watch(board as unknown as Switchboard);
  const report = (kind: "occupied" | "vacated"): void => occupancy.reported(0, { kind, channel: "room", thread: 1 });
  return { told, logged, memory, board, state, report };
}

it("gives keys and channels to the next server, which tells of a channel that nobody has come to", async () => {
  const old = start();
  const next = start();
  old.report("occupied");
  old.memory.isKnown("room", "key");
  next.state.take(structuredClone(await old.state.give()));
  old.report("vacated");
  old.board.emit("handedOver");
  next.board.emit("takenOver");
  expect([old.told, next.told]).toEqual([["+room"], ["-room"]]);
  expect(next.memory.isKnown("room", "key")).toBe(true);
});

it.each([
  ["successorFailed", { message: "killed" }, 0],
  ["programStateLeft", new Error("too large"), 1],
])("keeps everything after %s", async (event, detail, lines) => {
  const { told, logged, memory, board, state, report } = start();
  board.emit("successorFailed", detail);
  report("occupied");
  memory.isKnown("room", "key");
  await state.give();
  report("vacated");
  board.emit(event, detail);
  board.emit("handedOver");
  expect(told).toEqual(["+room", "-room"]);
  expect(memory.isKnown("room", "key")).toBe(true);
  expect(logged).toHaveLength(lines);
});

it("tells as before if the next process takes nothing", () => {
  const { told, board, report } = start();
  report("occupied");
  board.emit("handedOver");
  report("vacated");
  expect(told).toEqual(["+room", "-room"]);
});

it("ignores what another version gives, and says so", () => {
  const { told, logged, state } = start();
  state.take({ format: "serve/2", occupied: ["room"] });
  expect(told).toEqual([]);
  expect(logged).toEqual([expect.stringContaining("serve/2")]);
});
