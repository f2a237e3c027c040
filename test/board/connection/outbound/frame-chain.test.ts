import fc from "fast-check";
import { expect, it } from "vitest";
import { FrameChain } from "../../../../src/board/connection/outbound/frame-chain.ts";
import { encodeFrame, type Frame } from "../../../../src/wire/protocol/frame.ts";
import { Opcode } from "../../../../src/wire/protocol/opcode.ts";

/** Frames that are encoded one after the other are adjacent in memory. */
const frameOf = (text: string): Frame => encodeFrame(Opcode.text, Buffer.from(text));

const bytesOf = (frames: readonly Frame[]): Buffer =>
  Buffer.concat(frames.map(({ block, start, end }) => block.subarray(start, end)));

it("joins adjacent frames without a copy, and copies others", () => {
  const [a, b, c] = [frameOf("a"), frameOf("b"), frameOf("c")] as [Frame, Frame, Frame];
  const together = new FrameChain().append(a).append(b).append(c).join();
  expect(together.buffer).toBe(a.block.buffer);
  expect(together.equals(bytesOf([a, b, c]))).toBe(true);
  const apart = new FrameChain().append(a).append(c).join();
  expect(apart.buffer).not.toBe(a.block.buffer);
  expect(apart.equals(bytesOf([a, c]))).toBe(true);
});

it("joins the same frames once for all holders", () => {
  const root = new FrameChain();
  const [a, b] = [frameOf("a"), frameOf("b")] as [Frame, Frame];
  const chains = [1, 2, 3].map(() => root.append(a));
  const further = chains.map((chain) => chain.append(b));
  expect(new Set(further.map((chain) => chain.join())).size).toBe(1);
});

it("gives each holder the frames that it was given, however many share the beginning", () => {
  const holder = fc.nat({ max: 3 });
  const step = fc.record({ holder, frame: fc.nat({ max: 11 }), what: fc.constantFrom("append", "append", "join") });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const here = Array.from({ length: 6 }, (_, i) => frameOf(`frame ${i}`));
      // The same offsets in another memory.
      const block = Buffer.alloc(64 * 1024, "elsewhere");
      const frames = [...here, ...here.map(({ start, end }) => ({ block, start, end }))];
      const root = new FrameChain();
      const holders = [0, 1, 2, 3].map(() => ({ chain: undefined as FrameChain | undefined, got: [] as Frame[] }));
      for (const { holder, frame, what } of steps) {
        const one = holders[holder] as (typeof holders)[number];
        if (what === "append") {
          one.chain = (one.chain ?? root).append(frames[frame] as Frame);
          one.got.push(frames[frame] as Frame);
        } else if (one.chain !== undefined) {
          expect(one.chain.bytes).toBe(bytesOf(one.got).length);
          expect(one.chain.join().equals(bytesOf(one.got))).toBe(true);
        }
      }
      for (const { chain, got } of holders) {
        if (chain !== undefined) expect(chain.joinCompact().equals(bytesOf(got))).toBe(true);
      }
    }),
    { numRuns: 2_000 },
  );
});
