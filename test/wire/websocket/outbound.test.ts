import { Duplex } from "node:stream";
import { expect, it, vi } from "vitest";
import { encodeFrame, encodeText } from "../../../src/wire/protocol/frame.ts";
import { Opcode } from "../../../src/wire/protocol/opcode.ts";
import { Outbound } from "../../../src/wire/websocket/outbound.ts";

/** A stream that completes one write at a time, when the test says so. */
class Gate extends Duplex {
  readonly writes: Buffer[] = [];
  open: (() => void) | undefined;

  constructor() {
    super({ writableHighWaterMark: 1_000 });
  }

  override _read(): void {}

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.writes.push(Buffer.concat(chunks.map(({ chunk }) => chunk)));
    this.open = done;
  }

  get bytes(): number {
    return this.writes.reduce((sum, { length }) => sum + length, 0);
  }
}

it("writes the frames of one tick at once, control frames first", async () => {
  const gate = new Gate();
  const outbound = new Outbound(gate, { role: "server", maxBufferedBytes: 1_000_000 });
  void outbound.send(encodeText("one"));
  void outbound.send(encodeText("two"));
  outbound.sendControl(encodeFrame(Opcode.pong, Buffer.from("p")));
  await vi.waitFor(() => expect(gate.writes).toHaveLength(1));
  expect(gate.writes[0]?.toString("latin1")).toBe("\x8a\x01p\x81\x03one\x81\x03two");
});

it("lets senders wait until there is room, and refuses messages beyond the limit", async () => {
  const gate = new Gate();
  const outbound = new Outbound(gate, { role: "server", maxBufferedBytes: 200_000 });
  const frame = (): ReturnType<typeof encodeFrame> => encodeFrame(Opcode.binary, Buffer.alloc(50_000));
  expect(await outbound.send(frame())).toBe("sent");
  const waiting = [outbound.send(frame()), outbound.send(frame()), outbound.send(frame())];
  expect(await outbound.send(frame())).toBe("dropped");
  const settled = vi.fn();
  void Promise.race(waiting).then(settled);
  for (let written = 1; written < 4; written++) {
    await vi.waitFor(() => expect(gate.writes).toHaveLength(written));
    expect(settled).not.toHaveBeenCalled();
    gate.open?.();
  }
  await vi.waitFor(() => expect(gate.writes).toHaveLength(4));
  gate.open?.();
  expect(await Promise.all(waiting)).toEqual(["sent", "sent", "sent"]);
  expect(outbound.bufferedBytes).toBe(0);
});

it("leaves turns to other work while it sends to a peer that takes everything at once", async () => {
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const outbound = new Outbound(stream, { role: "server", maxBufferedBytes: 1_000_000 });
  const other = vi.fn();
  setImmediate(other);
  for (let i = 0; i < 1_000; i++) await outbound.send(encodeFrame(Opcode.binary, Buffer.alloc(1_000)));
  expect(other).toHaveBeenCalled();
  expect(outbound.bufferedBytes).toBeLessThan(100_000);
});

it("also bounds empty frames", async () => {
  const outbound = new Outbound(new Gate(), { role: "server", maxBufferedBytes: 12_800 });
  for (let i = 0; i < 100; i++) void outbound.send(encodeText(""));
  expect(await outbound.send(encodeText(""))).toBe("dropped");
});

it("keeps at most 64 control frames, the newest among them", async () => {
  const gate = new Gate();
  const outbound = new Outbound(gate, { role: "server", maxBufferedBytes: 1_000_000 });
  for (let i = 0; i < 1_000; i++) outbound.sendControl(encodeFrame(Opcode.pong, Buffer.from(String(i).padStart(3))));
  await vi.waitFor(() => expect(gate.writes).toHaveLength(1));
  expect(gate.bytes).toBe(64 * 5);
  expect(gate.writes[0]?.toString("latin1").endsWith("999")).toBe(true);
});

it("resolves waiting sends with closed when the stream is gone", async () => {
  const outbound = new Outbound(new Gate(), { role: "client", maxBufferedBytes: 1_000_000 });
  const waiting = outbound.send(encodeFrame(Opcode.binary, Buffer.alloc(500_000)));
  outbound.closed();
  expect(await waiting).toBe("closed");
});
