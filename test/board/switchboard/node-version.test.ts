import { setImmediate as turn } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { checkNode, warnOfRelay } from "../../../src/board/switchboard/node-version.ts";

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

it.each(["22.18.0", "22.30.1", "23.0.0", "24.19.9", "24.20.0", "26.5.9", "26.10.0", "27.0.0"])(
  "runs on Node %s",
  (version) => {
    expect(() => checkNode(version)).not.toThrow();
  },
);

it.each(["18.20.8", "20.19.5", "21.7.3", "22.0.0", "22.17.9"])(
  "refuses Node %s, and names the versions that work",
  (version) => {
    const message = expect.stringMatching(/22\.18 .* 24\.20 .* 26\.6 .* this is Node/);
    expect(() => checkNode(version)).toThrow(expect.objectContaining({ code: "ERR_NODE_VERSION", message }));
  },
);
