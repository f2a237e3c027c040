import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterEach, describe, expect, it, vi } from "vitest";
import wabt from "wabt";
import { createVectorMemory, MODULE } from "../../../../src/wire/protocol/masking/vectors.ts";

afterEach(() => vi.unstubAllGlobals());

describe("memory for vectors", () => {
  it("runs the module that vectors.wat describes", async () => {
    const source = new URL("../../../../src/wire/protocol/masking/vectors.wat", import.meta.url);
    const { parseWat } = await wabt();
    const { buffer } = parseWat("vectors.wat", readFileSync(source, "utf8"), { simd: true }).toBinary({});
    expect(MODULE).toBe(Buffer.from(buffer).toString("base64"));
  });

  it("is available in this Node", () => {
    expect(createVectorMemory(1)?.buffer.byteLength).toBe(2 * 64 * 1024);
  });

  it("is unavailable without WebAssembly", () => {
    vi.stubGlobal("WebAssembly", undefined);
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
      const { copies } = await import(${JSON.stringify(new URL("./vectors.ts", source).href)});
      console.log(copies);`;
      const flags = ["--no-enable-ssse3", "--no-enable-sse4-1", "--input-type=module"];
      const { stdout } = await promisify(execFile)(process.execPath, [...flags, "--eval", program]);
      expect(stdout).toBe("true\nundefined\n");
    },
  );
});
