/**
 * Calls of C functions through `node:ffi`. This is the one file of the project that loads `node:ffi`. The other files
 * of this folder bind their functions here. Addresses never leave this folder.
 */
import type * as Ffi from "node:ffi";
import { SwitchboardError } from "../../errors.ts";
import { builtins } from "../node-internals/builtins.ts";

/** Types of the arguments and of the result of a C function. Integers of 64 bits and pointers are bigints. */
export type CSignature = Ffi.FunctionSignature;

/** A C function with its signature. */
export type CFunction<S extends CSignature> = Ffi.WrappedFunctionFromSignature<S>;

/**
 * Libraries of the functions that were handed out. A function is valid as long as its library is referenced. Each
 * function has a library of its own: two files may bind one function with different signatures.
 */
const libraries: Ffi.DynamicLibrary[] = [];

/** The module, or one sentence that says why it is missing; undefined before the first use. */
let loaded: typeof Ffi | string | undefined;

/** Tells in one sentence why this thread can call no C functions. Undefined if it can. */
export function whyNoLibc(): string | undefined {
  loaded ??= load();
  return typeof loaded === "string" ? loaded : undefined;
}

/**
 * Returns a C function of this process: libc's, or one of those that Node exports, such as libuv's. Throws
 * `ERR_NO_FFI` if there is none, or if C functions can't be called here.
 */
export function bind<const S extends CSignature>(name: string, signature: S): CFunction<S> {
  const library = new (ffi().DynamicLibrary)(null);
  let bound: CFunction<S>;
  try {
    bound = library.getFunction(name, signature);
  } catch (cause) {
    throw new SwitchboardError("ERR_NO_FFI", `this process has no C function ${name}`, { cause });
  }
  libraries.push(library);
  if (errorLocation === 0n) errorLocation = findErrno(library);
  return bound;
}

/** Address of this thread's `errno`. Found before the first call: finding the address changes the value. */
let errorLocation = 0n;

/**
 * Returns the `errno` of the last C function that failed in this thread. Read `errno` right after the call: Node's own
 * system calls change the value.
 */
export function errno(): number {
  return ffi().getInt32(errorLocation);
}

/** Returns the error of a C function that failed, with the name of `code`, which is an `errno`. */
export function systemError(call: string, code = errno()): SwitchboardError {
  const [name, text] = builtins.util.getSystemErrorMap().get(-code) ?? [`error ${code}`, "unknown error"];
  return new SwitchboardError("ERR_SYSTEM_CALL", `${call} failed: ${name} (${text})`);
}

/**
 * Returns the address of the first byte of a view. The address is valid while the view is referenced and its buffer
 * isn't detached or resized, so keep the view until the function, or the kernel, is done with the memory.
 */
export function addressOf(view: ArrayBuffer | NodeJS.ArrayBufferView): bigint {
  return ffi().getRawPointer(view);
}

/** Returns memory that isn't V8's as an ArrayBuffer, which V8 never frees. The memory must outlive all views of it. */
export function bufferAt(address: bigint, byteLength: number): ArrayBuffer {
  return ffi().toArrayBuffer(address, byteLength, false);
}

/** Returns the address of this thread's `uv_loop_t`, valid as long as the thread runs. */
export function eventLoopAddress(): bigint {
  return ffi().getCurrentEventLoop();
}

function findErrno(library: Ffi.DynamicLibrary): bigint {
  // glibc and musl have the first name, macOS the second.
  const name = process.platform === "darwin" ? "__error" : "__errno_location";
  return library.getFunction(name, { return: "pointer", arguments: [] })();
}

function ffi(): typeof Ffi {
  loaded ??= load();
  if (typeof loaded === "string") throw new SwitchboardError("ERR_NO_FFI", loaded);
  return loaded;
}

function load(): typeof Ffi | string {
  const { node } = process.versions;
  let module: typeof Ffi | undefined;
  try {
    module = quietly(() => process.getBuiltinModule("node:ffi"));
  } catch (error) {
    return `Node ${node} can't load node:ffi: ${(error as Error).message}`;
  }
  if (module === undefined) {
    return `Node ${node} has no node:ffi: use Node 26.9 or newer, without --no-experimental-ffi, in a build that includes FFI`;
  }
  if (process.permission !== undefined && !process.permission.has("ffi")) {
    return "Node's permission model forbids node:ffi: start Node with --allow-ffi";
  }
  if (typeof module.getCurrentEventLoop !== "function") {
    return `the node:ffi of Node ${node} is too old: use Node 26.9 or newer`;
  }
  return module;
}

/**
 * Loads a module without Node's ExperimentalWarning, which would come once for each thread. Whoever lets users choose
 * what stands on `node:ffi` warns once for the process.
 */
function quietly<T>(load: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
