/** Unmasks long payloads with the vector instructions of WebAssembly. Only `mask.ts` uses this file. */

/** Bytes that are unmasked in one call: a multiple of 64. Three chunks fit in the fastest cache of a processor. */
const CHUNK_BYTES = 16 * 1024;

/** The module `mask.wat`, assembled, in base64. */
export const MODULE =
  "AGFzbQEAAAABBwFgAn9/AX8DAgEABQQBAQEBBxACBm1lbW9yeQIAA3hvcgAACocBAYQBAgF/BnsgAf0RIQMDQCAC/QAEACAD/VEhBSAC/QAEECAD" +
  "/VEhBiAC/QAEICAD/VEhByAC/QAEMCAD/VEhCCACIAX9CwQAIAIgBv0LBBAgAiAH/QsEICACIAj9CwQwIAQgBSAG/VAgByAI/VD9UP1QIQQgAkHA" +
  "AGoiAiAASQ0ACyAE/WQL";

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly xor: (end: number, key: number) => number;
}

/** The part of the WebAssembly API that is used here. Node's types lack it. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Buffer) => object;
  readonly Instance: new (module: object) => { readonly exports: Exports };
}

/** Copies `length` bytes, a multiple of 64, and XORs them with the key. Returns true when all results are ASCII. */
export type VectorUnmask = (
  source: Buffer,
  from: number,
  target: Buffer,
  at: number,
  length: number,
  key: number,
) => boolean;

/**
 * Creates a function that unmasks by vectors of 16 bytes. JavaScript has vectors only in WebAssembly, so the function
 * copies the bytes to the module's memory, XORs them there and copies them on. Returns undefined where WebAssembly is
 * missing (`--jitless`) and on processors without vectors.
 */
export function createVectorUnmask(): VectorUnmask | undefined {
  const instantiated = instantiate();
  if (instantiated === undefined) return undefined;
  const { memory, xor } = instantiated;
  const chunk = Buffer.from(memory.buffer, 0, CHUNK_BYTES);
  return (source, from, target, at, length, key) => {
    let seen = 0;
    for (let done = 0; done < length; done += CHUNK_BYTES) {
      const bytes = Math.min(length - done, CHUNK_BYTES);
      source.copy(chunk, 0, from + done, from + done + bytes);
      seen |= xor(bytes, key);
      chunk.copy(target, at + done, 0, bytes);
    }
    return seen === 0;
  };
}

function instantiate(): Exports | undefined {
  const { WebAssembly } = globalThis as { readonly WebAssembly?: WebAssemblyApi };
  if (WebAssembly === undefined) return undefined;
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(MODULE, "base64"))).exports;
  } catch {
    return undefined;
  }
}
