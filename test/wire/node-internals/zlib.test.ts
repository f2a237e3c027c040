/**
 * Canaries: each fails when a new Node no longer has one of the private parts of `node:zlib` that `src` uses. The tests
 * behind them show what happens then.
 */
import { constants, createInflateRaw, deflateRawSync, InflateRaw } from "node:zlib";
import { expect, it, onTestFinished, vi } from "vitest";
import {
  engineHandleOf,
  inflateInto,
  inflateWithInfo,
  restoreEngineHandle,
} from "../../../src/wire/node-internals/zlib.ts";

it("finds the number of bytes that a one-shot inflation consumed (`info`)", () => {
  const bytes = deflateRawSync("hello");
  const inflated = inflateWithInfo(Buffer.concat([bytes, Buffer.from("more")]), {});
  expect(inflated).toMatchObject({ buffer: Buffer.from("hello"), engine: { bytesWritten: bytes.length } });
});

it("inflates into given memory repeatedly (`_handle`, `_outBuffer`, `_chunkSize`, `_processChunk`)", () => {
  const engine = createInflateRaw();
  const handle = engineHandleOf(engine);
  if (handle === null) throw new Error("a new engine has no handle");
  expect(handle.close).toBeTypeOf("function");
  // Does as the inflater does: Node would close the handle after the first use.
  handle.close = () => {};
  onTestFinished(() => {
    Reflect.deleteProperty(handle, "close");
    handle.close();
  });
  const output = Buffer.alloc(64);
  for (const text of ["hello", "hello again"]) {
    restoreEngineHandle(engine, handle);
    engine.reset();
    const bytes = inflateInto(engine, deflateRawSync(text), constants.Z_FINISH, output, 64);
    expect(bytes.toString()).toBe(text);
    expect(bytes.buffer).toBe(output.buffer);
    expect(engineHandleOf(engine)).toBeNull();
  }
});

it("returns at most the largest number of bytes (`_maxOutputLength`)", () => {
  const engine = createInflateRaw();
  const input = deflateRawSync(Buffer.alloc(100));
  const inflate = (): Buffer => inflateInto(engine, input, constants.Z_FINISH, Buffer.alloc(200), 99);
  expect(inflate).toThrow(expect.objectContaining({ code: "ERR_BUFFER_TOO_LARGE" }));
});

it.each(["_processChunk", "reset"])("inflates with the one-shot function in a Node without `%s`", async (part) => {
  const owner = Object.getPrototypeOf(Object.getPrototypeOf(InflateRaw.prototype));
  const there = Object.getOwnPropertyDescriptor(owner, part);
  expect(there).toBeDefined();
  Object.defineProperty(owner, part, { configurable: true, value: undefined });
  onTestFinished(() => void Object.defineProperty(owner, part, there ?? {}));
  vi.resetModules();
  const { inflateWay, inflateAnew, tryInflate } = await import("../../../src/wire/protocol/deflate/inflate-stream.ts");
  expect(inflateWay()).toBe(inflateAnew);
  const settings = { windowBits: 15, dictionary: Buffer.alloc(0), maxBytes: 100 };
  expect(tryInflate(deflateRawSync("hello"), settings)).toMatchObject({ bytes: Buffer.from("hello") });
});
