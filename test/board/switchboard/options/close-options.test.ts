import { expect, it } from "vitest";
import {
  checkCloseOnSignalsOptions,
  checkCloseOptions,
} from "../../../../src/board/switchboard/options/close-options.ts";

it("fills in defaults, with the reason that belongs to the code", () => {
  const closing = { timeoutMs: 5_000, readinessDelayMs: 0, batchSize: 10_000, batchIntervalMs: 2_000 };
  expect(checkCloseOptions({})).toEqual({ ...closing, code: 1001, reason: "server is going away" });
  expect(checkCloseOptions({ code: 3001 })).toEqual({ ...closing, code: 3001, reason: "server is going away" });
  expect(checkCloseOptions({ code: 1012 })).toEqual({ ...closing, code: 1012, reason: "server is restarting" });
  expect(checkCloseOnSignalsOptions({ timeoutMs: 5 })).toEqual({
    signals: ["SIGTERM", "SIGINT"],
    close: { timeoutMs: 5 },
  });
});
