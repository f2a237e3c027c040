import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { warnOfRelay } from "../../../src/board/switchboard/node-version.ts";

it("warns once per process on a Node that can't move sockets, and names the versions that can", async () => {
  const warnings: Error[] = [];
  const listener = (warning: Error): void => void warnings.push(warning);
  process.on("warning", listener);
  onTestFinished(() => void process.off("warning", listener));
  for (let i = 0; i < 3; i++) warnOfRelay("22.18.0");
  await turn();
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatchObject({ name: "SwitchboardWarning", code: "SOCKETS_RELAYED" });
  expect(warnings[0]?.message).toMatch(
    /^Node 22\.18\.0 can't move sockets .* Upgrade to Node 24\.20 .* 26\.6 or newer$/,
  );
});
