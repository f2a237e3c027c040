/** An outbound over a fake transport, with its parts, for the tests of this folder. */
import { expect } from "vitest";
import { FlushQueue } from "../../../../src/board/connection/outbound/flush-queue.ts";
import { Outbound } from "../../../../src/board/connection/outbound/outbound.ts";
import { FairScheduler } from "../../../../src/runtime/scheduling/fair-scheduler.ts";
import { Counters } from "../../../../src/runtime/stats/counters.ts";
import { encodeText, type Frame } from "../../../../src/wire/protocol/frame.ts";
import type { SlowConsumerPolicy } from "../../../../src/wire/protocol/slow-consumer-policy.ts";
import { FakeTransport } from "../../../support/fake-transport.ts";

export const MAX_BUFFERED_BYTES = 1_000;

export interface SetUpOptions {
  readonly turns?: FairScheduler;
  readonly queue?: FlushQueue;
  /** True if the peer reads what is written. Default: true. */
  readonly peerReads?: boolean;
  readonly policy?: SlowConsumerPolicy;
  readonly maxBufferedBytes?: number;
}

export function setUp(options: SetUpOptions = {}) {
  const {
    queue = new FlushQueue(new Counters()),
    peerReads = true,
    policy = "close",
    maxBufferedBytes = MAX_BUFFERED_BYTES,
  } = options;
  const { turns = new FairScheduler(() => 0) } = options;
  const transport = new FakeTransport();
  transport.peerReads = peerReads;
  const counters = new Counters();
  const host = { flushQueue: queue, turns, counters, options: { maxBufferedBytes, slowConsumerPolicy: policy } };
  /** The reports that the bound was reached. */
  const reports: string[] = [];
  const owner = { boundReached: (policy: string, bytes: number) => void reports.push(`${policy} ${bytes}`) };
  const outbound = new Outbound(transport, host, owner);
  return { transport, queue, counters, reports, outbound };
}

/** Makes the peer read the bytes that the transport holds. */
export function drain(transport: FakeTransport, outbound: Outbound): void {
  transport.bufferedBytes = 0;
  outbound.drained();
}

/** A frame of that many bytes on the wire. */
export function frameOf(bytes: number): Frame {
  const frame = encodeText("x".repeat(bytes < 128 ? bytes - 2 : bytes < 65_540 ? bytes - 4 : bytes - 10));
  expect(frame.end - frame.start).toBe(bytes);
  return frame;
}
