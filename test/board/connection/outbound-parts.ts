import { expect } from "vitest";
import { FlushQueue } from "../../../src/board/connection/flush-queue.ts";
import { Outbound } from "../../../src/board/connection/outbound.ts";
import type { SlowConsumerPolicy } from "../../../src/runtime/actor/flow.ts";
import { Turns } from "../../../src/runtime/scheduling/turns.ts";
import { Counters } from "../../../src/runtime/stats/counters.ts";
import { encodeText, type Frame } from "../../../src/wire/protocol/frame.ts";
import type { Transport, TransportReceiver } from "../../../src/wire/transport/transport.ts";
import { parseServerFrame, type ServerFrame } from "../../support/frames.ts";

/** A transport into memory, whose peer takes bytes only while its valve is open. */
export class Valve implements Transport {
  readonly writes: Buffer[] = [];
  open = true;
  bufferedBytes = 0;

  write(bytes: Buffer): void {
    this.writes.push(bytes);
    if (!this.open) this.bufferedBytes += bytes.length;
  }

  start(_receiver: TransportReceiver): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}

  get bytes(): Buffer {
    return Buffer.concat(this.writes);
  }

  get frames(): ServerFrame[] {
    const frames: ServerFrame[] = [];
    let parsed = parseServerFrame(this.bytes);
    while (parsed !== undefined) {
      frames.push(parsed.frame);
      parsed = parseServerFrame(parsed.rest);
    }
    return frames;
  }

  get texts(): string[] {
    return this.frames.map(({ payload }) => payload.toString());
  }
}

export const MAX_BUFFERED_BYTES = 1_000;

export interface SetUpOptions {
  readonly turns?: Turns;
  readonly queue?: FlushQueue;
  readonly open?: boolean;
  readonly policy?: SlowConsumerPolicy;
  readonly maxBufferedBytes?: number;
}

export function setUp(options: SetUpOptions = {}) {
  const { queue = new FlushQueue(), open = true, policy = "close", maxBufferedBytes = MAX_BUFFERED_BYTES } = options;
  const { turns = new Turns(() => 0) } = options;
  const valve = new Valve();
  valve.open = open;
  const counters = new Counters();
  const host = { flushQueue: queue, turns, counters, options: { maxBufferedBytes, slowConsumers: policy } };
  /** What was told of the bound. */
  const reports: string[] = [];
  const owner = { boundReached: (policy: string, bytes: number) => void reports.push(`${policy} ${bytes}`) };
  const outbound = new Outbound(valve, host, owner);
  return { valve, queue, counters, reports, outbound };
}

/** The peer takes what the transport has. */
export function drain(valve: Valve, outbound: Outbound): void {
  valve.bufferedBytes = 0;
  outbound.drained();
}

/** A frame of that many bytes on the wire. */
export function frameOf(bytes: number): Frame {
  const frame = encodeText("x".repeat(bytes < 128 ? bytes - 2 : bytes < 65_540 ? bytes - 4 : bytes - 10));
  expect(frame.end - frame.start).toBe(bytes);
  return frame;
}
