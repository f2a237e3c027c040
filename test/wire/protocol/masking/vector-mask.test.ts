import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterEach, describe, expect, it, vi } from "vitest";
import wabt from "wabt";
import { createVectorMemory, createVectorUnmask, MODULE } from "../../../../src/wire/protocol/masking/vector-mask.ts";

afterEach(() => vi.unstubAllGlobals());

describe("unmasking by vectors", () => {
  it("runs the module that mask.wat describes", async () => {
    const source = new URL("../../../../src/wire/protocol/masking/mask.wat", import.meta.url);
    const { parseWat } = await wabt();
    const { buffer } = parseWat("mask.wat", readFileSync(source, "utf8"), { simd: true }).toBinary({});
    expect(MODULE).toBe(Buffer.from(buffer).toString("base64"));
  });

  it("is available in this Node", () => {
    expect(createVectorUnmask()).toBeTypeOf("function");
  });

  it("is unavailable without WebAssembly", () => {
    vi.stubGlobal("WebAssembly", undefined);
    expect(createVectorUnmask()).toBeUndefined();
    expect(createVectorMemory(1)).toBeUndefined();
  });

  it("is unavailable without room for its memory", () => {
    // WebAssembly has no more than 4 GiB.
    expect(createVectorMemory(2 ** 33)).toBeUndefined();
  });

  it.runIf(process.arch === "x64")(
    "is unavailable on a processor without vectors, where unmasking works without it",
    async () => {
      const source = new URL("../../../../src/wire/protocol/masking/mask.ts", import.meta.url);
      const program = `
      const { unmask } = await import(${JSON.stringify(source.href)});
      const target = Buffer.alloc(1_000);
      unmask(Buffer.alloc(1_000, 0x77), 0, target, 0, 1_000, 0x01010101, 0);
      console.log(target.equals(Buffer.alloc(1_000, 0x76)));
      const { createVectorUnmask } = await import(${JSON.stringify(new URL("./vector-mask.ts", source).href)});
      console.log(createVectorUnmask());`;
      const flags = ["--no-enable-ssse3", "--no-enable-sse4-1", "--input-type=module"];
      const { stdout } = await promisify(execFile)(process.execPath, [...flags, "--eval", program]);
      expect(stdout).toBe("true\nundefined\n");
    },
  );
});
