/** Unmasks long payloads with the vector instructions of WebAssembly. Only `mask.ts` uses this file. */

/** Bytes that are unmasked in one call: a multiple of 64. Three chunks fit in the fastest cache of a processor. */
const CHUNK_BYTES = 16 * 1024;
/** Bytes of a page of WebAssembly's memory. */
const PAGE_BYTES = 64 * 1024;

/** The module `mask.wat`, assembled, in base64. */
export const MODULE =
  "AGFzbQEAAAABCAFgA39/fwF/Ag8BAAZtZW1vcnkCAQGAgAQDAgEABwcBA3hvcgAACoUBAYIBAQZ7IAL9ESEDA0AgAP0ABAAgA/1RIQUgAP0ABBAgA/1R" +
  "IQYgAP0ABCAgA/1RIQcgAP0ABDAgA/1RIQggACAF/QsEACAAIAb9CwQQIAAgB/0LBCAgACAI/QsEMCAEIAUgBv1QIAcgCP1Q/VD9UCEEIABBwABqIgAg" +
  "AUkNAAsgBP1kCw==";

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
  ) => { readonly exports: Pick<VectorMemory, "xor"> };
}

/** Memory in which vectors can unmask. */
export interface VectorMemory {
  /** The memory. It never moves and never grows. */
  readonly buffer: ArrayBuffer;
  /** XORs the bytes from `at` to `end`, a multiple of 64 above 0, with the key. Returns 0 when all results are ASCII. */
  readonly xor: (at: number, end: number, key: number) => number;
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
 * Creates memory of zeros in which vectors of 16 bytes can unmask: JavaScript has vectors only in WebAssembly, which
 * works only on memory of its own. Returns undefined where WebAssembly is missing (`--jitless`), on processors without
 * vectors, and without room for the memory: V8 reserves some GB of addresses for each.
 *
 * @param byteLength bytes that are needed; the memory is a multiple of 64 KiB
 */
export function createVectorMemory(byteLength: number): VectorMemory | undefined {
  const { WebAssembly } = globalThis as { readonly WebAssembly?: WebAssemblyApi };
  if (WebAssembly === undefined) return undefined;
  const pages = Math.ceil(byteLength / PAGE_BYTES);
  try {
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const module = new WebAssembly.Module(Buffer.from(MODULE, "base64"));
    const { xor } = new WebAssembly.Instance(module, { "": { memory } }).exports;
    return { buffer: memory.buffer, xor };
  } catch {
    return undefined;
  }
}

/**
 * Creates a function that unmasks what lies in the given memory: it XORs the bytes there, and copies them on. A target
 * that is the source, at the same place, needs no copy.
 */
export function createOwnUnmask({ xor }: VectorMemory): VectorUnmask {
  return (source, from, target, at, length, key) => {
    const start = source.byteOffset;
    let seen = 0;
    for (let done = 0; done < length; done += CHUNK_BYTES) {
      const begin = from + done;
      const end = from + Math.min(length, done + CHUNK_BYTES);
      seen |= xor(start + begin, start + end, key);
      if (source !== target) source.copy(target, at + done, begin, end);
    }
    return seen === 0;
  };
}

/**
 * Creates a function that unmasks by vectors any memory: it copies the bytes to memory of WebAssembly, XORs them there
 * and copies them on. Returns undefined where there is no such memory.
 */
export function createVectorUnmask(): VectorUnmask | undefined {
  const memory = createVectorMemory(CHUNK_BYTES);
  if (memory === undefined) return undefined;
  const { buffer, xor } = memory;
  const chunk = Buffer.from(buffer, 0, CHUNK_BYTES);
  return (source, from, target, at, length, key) => {
    let seen = 0;
    for (let done = 0; done < length; done += CHUNK_BYTES) {
      const bytes = Math.min(length - done, CHUNK_BYTES);
      source.copy(chunk, 0, from + done, from + done + bytes);
      seen |= xor(0, bytes, key);
      chunk.copy(target, at + done, 0, bytes);
    }
    return seen === 0;
  };
}
