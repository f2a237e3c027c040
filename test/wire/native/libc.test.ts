import { execFile } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { addressOf, bind, bufferAt, errno, systemError } from "../../../src/wire/native/libc.ts";
import { missingLibc } from "./availability.ts";

const file = fileURLToPath(new URL("../../../src/wire/native/libc.ts", import.meta.url));

/** What another Node process prints that imports the module, and its warnings. */
async function inProcess(flags: readonly string[], script: string): Promise<string> {
  const code = `import { bind, whyNoLibc } from ${JSON.stringify(file)}; ${script}`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...flags, "--input-type=module", "-e", code]);
  return stdout + stderr;
}

describe.skipIf(missingLibc !== undefined)("a bound C function", () => {
  it("is called with numbers and returns one", () => {
    const getpid = bind("getpid", { return: "int32", arguments: [] });
    expect(getpid()).toBe(process.pid);
  });

  it("may be bound again with another signature", () => {
    const narrow = bind("labs", { return: "int32", arguments: ["int32"] });
    const wide = bind("labs", { return: "int64", arguments: ["int64"] });
    expect([narrow(3), wide(-(2n ** 40n))]).toEqual([3, 2n ** 40n]);
  });

  it("leaves its error in errno", () => {
    const close = bind("close", { return: "int32", arguments: ["int32"] });
    expect(close(-1)).toBe(-1);
    expect(errno()).toBe(constants.errno.EBADF);
    expect(close(-1)).toBe(-1);
    const { code, message } = systemError("close");
    expect(code).toBe("ERR_SYSTEM_CALL");
    expect(message).toBe("close failed: EBADF (bad file descriptor)");
  });

  it("reads and writes a Buffer that is lent to it", () => {
    const memcpy = bind("memcpy", { return: "pointer", arguments: ["pointer", "pointer", "uint64"] });
    const [from, to] = [Buffer.from("abc"), Buffer.alloc(3)];
    memcpy(to, addressOf(from), 3n);
    expect(to.toString()).toBe("abc");
  });

  it("gives memory that can be viewed", () => {
    const malloc = bind("malloc", { return: "pointer", arguments: ["uint64"] });
    const view = new Int32Array(bufferAt(malloc(16n), 16));
    Atomics.store(view, 3, 42);
    expect(view[3]).toBe(42);
  });

  it("fails with a code when there is no such function", () => {
    expect(() => bind("no_such_function", { return: "void", arguments: [] })).toThrow(
      expect.objectContaining({ code: "ERR_NO_FFI", message: "this process has no C function no_such_function" }),
    );
  });

  it("makes Node print no warning", async () => {
    const script = 'bind("getpid", { return: "int32", arguments: [] }); console.log("bound", whyNoLibc());';
    expect(await inProcess([], script)).toBe("bound undefined\n");
  });
});

describe.skipIf(missingLibc !== undefined)("without C functions, the reason", () => {
  it("is that this Node has no node:ffi", async () => {
    expect(await inProcess(["--no-experimental-ffi"], "console.log(whyNoLibc())")).toContain(
      "has no node:ffi: use Node",
    );
  });

  it("is the permission model", async () => {
    const flags = ["--permission", "--allow-fs-read=*"];
    expect(await inProcess(flags, "console.log(whyNoLibc())")).toContain("start Node with --allow-ffi");
  });
});
