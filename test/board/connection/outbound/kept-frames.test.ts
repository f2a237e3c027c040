import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { BroadcastGroup } from "../../../../src/board/connection/outbound/broadcast-group.ts";
import { encodeText } from "../../../../src/wire/protocol/frame.ts";
import type { SlowConsumerPolicy } from "../../../../src/wire/protocol/slow-consumer-policy.ts";
import { drain, frameOf, MAX_BUFFERED_BYTES, setUp } from "./outbound-parts.ts";

const POLICIES: SlowConsumerPolicy[] = ["close", "dropNewest", "dropOldest", "conflate"];

/** Sets up an outbound whose peer has 500 bytes to read. */
async function setUpBehind(policy: SlowConsumerPolicy) {
  const parts = setUp({ peerReads: false, policy });
  parts.outbound.push(frameOf(500));
  await turn();
  return parts;
}

it.each(POLICIES)(
  "a kept frame beyond the bound is given back with the policy %s, and the bound reported",
  async (policy) => {
    const { outbound, reports, transport, counters } = await setUpBehind(policy);
    expect(outbound.push(encodeText("fits"), undefined, undefined, true)).toBe("buffered");
    expect(outbound.push(frameOf(600), undefined, undefined, true)).toBe("dropped");
    expect(outbound.push(frameOf(600), undefined, undefined, true)).toBe("dropped");
    expect(reports).toHaveLength(1);
    expect([counters.get("droppedNewest"), counters.get("droppedOldest")]).toEqual([0, 0]);
    await turn();
    drain(transport, outbound);
    expect(transport.texts.slice(1)).toEqual(["fits"]);
  },
);

it("kept frames are not dropped for newer ones, which are dropped themselves when only kept ones wait", async () => {
  const { outbound, transport, counters } = await setUpBehind("dropOldest");
  for (const text of ["kept 1", "plain 1", "kept 2"]) {
    outbound.push(encodeText(text), undefined, undefined, text.startsWith("kept"));
    await turn();
  }
  expect(outbound.push(encodeText("plain 2".padEnd(100)))).toBe("buffered");
  await turn();
  expect(counters.get("droppedOldest")).toBe(1);
  expect(outbound.push(frameOf(400))).toBe("dropped");
  expect(counters.get("droppedNewest")).toBe(1);
  expect(outbound.bufferedBytes).toBeLessThanOrEqual(MAX_BUFFERED_BYTES);
  drain(transport, outbound);
  expect(transport.texts.slice(1).map((text) => text.trim())).toEqual(["kept 1", "kept 2"]);
});

it("kept frames of a topic are replaced by newer ones, and never dropped", async () => {
  const { outbound, transport, counters } = await setUpBehind("conflate");
  for (const each of [1, 2, 3]) {
    const frame = encodeText(`${each}`.padEnd(100));
    expect(outbound.push(frame, "topic", undefined, true)).toBe("buffered");
  }
  expect(outbound.push(encodeText("x".repeat(600)), "other", undefined, true)).toBe("dropped");
  expect(counters.get("conflated")).toBe(2);
  outbound.policy = "dropOldest";
  expect(outbound.push(frameOf(600))).toBe("dropped");
  await turn();
  drain(transport, outbound);
  expect(transport.texts.slice(1).map((text) => text.trim())).toEqual(["3"]);
});

it("kept frames without a topic are not conflated", async () => {
  const { outbound, transport } = await setUpBehind("conflate");
  outbound.push(encodeText("one"), undefined, undefined, true);
  outbound.push(encodeText("a"), "topic");
  outbound.push(encodeText("two"), undefined, undefined, true);
  outbound.push(encodeText("b"), "topic");
  await turn();
  drain(transport, outbound);
  expect(transport.texts.slice(1)).toEqual(["one", "b", "two"]);
});

it("frames that a group queued for a connection are kept as the first was", async () => {
  const { outbound, transport, counters } = setUp({ peerReads: false, policy: "dropOldest" });
  const group = new BroadcastGroup(counters);
  outbound.push(encodeText("1"), undefined, group, true);
  expect(group.size).toBe(1);
  group.append(encodeText("2"));
  // The peer falls behind before the tick ends.
  transport.bufferedBytes = 900;
  await turn();
  expect(outbound.push(frameOf(200))).toBe("dropped");
  drain(transport, outbound);
  expect(transport.texts).toEqual(["1", "2"]);
});
