import { describe, expect, it } from "vitest";
import { closedByPeer, failed, lingerMs } from "../../../src/wire/protocol/close-handshake.ts";
import type { Frame } from "../../../src/wire/protocol/frame.ts";
import { decode, seenClose } from "./decoding/decoding.ts";

/** The close frame of a server, as the other end reads it. */
function read(frame: Frame | undefined): unknown {
  if (frame === undefined) return undefined;
  return decode([frame.block.subarray(frame.start, frame.end)], { role: "client" });
}

const OURS = { code: 4000, reason: "enough" };

describe("the peer's close frame", () => {
  it.each([
    { name: "with a code and a reason", code: 1000, reason: "bye", answer: [seenClose(1000, "bye")] },
    { name: "with a code of its own", code: 4321, reason: "", answer: [seenClose(4321, "")] },
    { name: "with no code", code: 1005, reason: "", answer: [seenClose(1005, "")] },
  ])("$name, is answered with the same code, and reported to the user", ({ code, reason, answer }) => {
    const step = closedByPeer("server", undefined, { code, reason });
    expect(read(step.frame)).toEqual(answer);
    expect(step).toMatchObject({ closing: { code, reason }, wasClean: true });
  });

  it("isn't answered when it answers ours, and the user gets the code and reason of ours", () => {
    const step = closedByPeer("server", OURS, { code: 1000, reason: "bye" });
    expect(step).toMatchObject({ frame: undefined, closing: OURS, wasClean: true });
  });

  it.each([
    { role: "server", endsTransport: true },
    { role: "client", endsTransport: false },
  ] as const)("lets a $role end the transport: $endsTransport", ({ role, endsTransport }) => {
    expect(closedByPeer(role, undefined, { code: 1000, reason: "" }).endsTransport).toBe(endsTransport);
    expect(closedByPeer(role, OURS, { code: 1000, reason: "" }).endsTransport).toBe(endsTransport);
  });
});

describe("a connection that fails", () => {
  const closing = { code: 1002, reason: "reserved opcode" };

  it("tells the peer the reason, and ends the transport", () => {
    const step = failed("open", closing);
    expect(read(step.frame)).toEqual([seenClose(1002, "reserved opcode")]);
    expect(step).toMatchObject({ closing, wasClean: false, endsTransport: true });
  });

  it("sends no second close frame", () => {
    expect(failed("closingByUs", closing)).toMatchObject({ frame: undefined, closing, wasClean: false });
  });
});

it("gives a peer 2 s to end its direction, and never longer than closeTimeoutMs", () => {
  expect(lingerMs(10_000)).toBe(2_000);
  expect(lingerMs(500)).toBe(500);
});
