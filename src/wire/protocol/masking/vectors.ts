/**
 * Memory of WebAssembly: JavaScript has the vector instructions of the processor only there. `mask.ts` and the
 * decoder (`frame-run.ts`) work in it.
 */

/** Bytes of a page of WebAssembly's memory. */
const PAGE_BYTES = 64 * 1024;
/** Bytes of the memory for what lies elsewhere, and is copied there. */
export const COPIES_BYTES = PAGE_BYTES;
/** Bytes behind the memory for results. */
export const RESULT_BYTES = PAGE_BYTES;

/** The module `vectors.wat`, assembled, in base64. */
export const MODULE =
  "AGFzbQEAAAABEAJgA39/fwF/YAR/f39/AX8CDwEABm1lbW9yeQIBAYCABAMDAgABBxACA3hvcgAABmZyYW1lcwABCocEAoIBAQZ7IAL9ESEDA0AgAP0A" +
  "BAAgA/1RIQUgAP0ABBAgA/1RIQYgAP0ABCAgA/1RIQcgAP0ABDAgA/1RIQggACAF/QsEACAAIAb9CwQQIAAgB/0LBCAgACAI/QsEMCAEIAUgBv1QIAcg" +
  "CP1Q/VD9UCEEIABBwABqIgAgAUkNAAsgBP1kC4ADBAh/AXsCfwJ7IAAhBAJAA0AgAEEGaiABSw0BIAAtAAAhBiAGQYEBa0EBSw0BIAAtAAFBgAFrIQcg" +
  "B0H9AEsNASAAQQZqIQggCCAHaiEJIAkgAUsNASAAKAICIQsgAiAGOgAAIAIgBzoAASACQQJqIQogC/0RIQz9DAAAAAAAAAAAAAAAAAAAAAAhDwJAA0Ag" +
  "CEEQaiAJSw0BIAj9AAQAIAz9USEQIAogEP0LBAAgDyAQ/VAhDyAIQRBqIQggCkEQaiEKDAALCyAP/WQhDgJAA0AgCEEEaiAJSw0BIAgoAgAgC3MhDSAK" +
  "IA02AgAgDiANQYCBgoR4cXIhDiAIQQRqIQggCkEEaiEKDAALCwJAA0AgCCAJTw0BIAgtAAAgC0H/AXFzIQ0gCiANOgAAIA4gDUGAAXFyIQ4gC0EIdiEL" +
  "IAhBAWohCCAKQQFqIQoMAAsLIAZBgQFGIA5BAEdxDQEgCSEAIAohAiAFQQFqIgUgA0kNAAsLIAAgBGtBCXQgBXIL";

interface Functions {
  /** XORs the bytes from `at` to `end`, a multiple of 64 above 0, with the key. Returns 0 when all results are ASCII. */
  readonly xor: (at: number, end: number, key: number) => number;
  /**
   * Reads the frames from `at` to `end`, as long as each is a whole, masked, uncompressed message of at most 125 bytes,
   * and its text ASCII. Writes them to `out`, without a mask and one behind the other.
   *
   * @param most largest number of frames, at most 511
   * @returns number of bytes that were read, times 512, plus the number of frames
   */
  readonly frames: (at: number, end: number, out: number, most: number) => number;
}

/** Memory in which vectors can work. */
export interface VectorMemory extends Functions {
  /** The memory. It never moves and never grows. */
  readonly buffer: ArrayBuffer;
  /** The same, as a view. */
  readonly bytes: Buffer;
  /** Offset of `RESULT_BYTES` for results, behind the bytes that were asked for. */
  readonly results: number;
}

/** The part of the WebAssembly API that is used here. Node's types lack it. */
interface WebAssemblyApi {
  readonly Memory: new (size: {
    readonly initial: number;
    readonly maximum: number;
  }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Buffer) => object;
  readonly Instance: new (
    module: object,
    imports: { readonly "": { readonly memory: object } },
  ) => { readonly exports: Functions };
}

/**
 * Creates memory of zeros in which vectors of 16 bytes can work. Returns undefined where WebAssembly is missing
 * (`--jitless`), on processors without vectors, and without room for the memory: V8 reserves some GB of addresses for
 * each.
 *
 * @param byteLength bytes that are needed
 */
export function createVectorMemory(byteLength: number): VectorMemory | undefined {
  const { WebAssembly } = globalThis as { readonly WebAssembly?: WebAssemblyApi };
  if (WebAssembly === undefined) return undefined;
  const results = Math.ceil(byteLength / PAGE_BYTES) * PAGE_BYTES;
  const pages = (results + RESULT_BYTES) / PAGE_BYTES;
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const module = new WebAssembly.Module(Buffer.from(MODULE, "base64"));
    const { xor, frames } = new WebAssembly.Instance(module, { "": { memory } }).exports;
    const { buffer } = memory;
    return { buffer, bytes: Buffer.from(buffer), results, xor, frames };
  } catch {
    return undefined;
  }
}

/** Memory of this thread for what lies elsewhere; undefined if vectors can't work here. */
export const copies = createVectorMemory(COPIES_BYTES);

/** Memory from which the input of this thread comes, for as long as the thread runs. */
export let inputMemory: ArrayBufferLike = new ArrayBuffer(0);
/** The same memory, if vectors can work there. */
export let inputVectors: VectorMemory | undefined;

/**
 * Tells from which memory the input of this thread comes.
 *
 * @param vectors that memory, if vectors can work there
 */
export function keepInput(memory: ArrayBuffer, vectors?: VectorMemory): void {
  inputMemory = memory;
  inputVectors = vectors;
}
