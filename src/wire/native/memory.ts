/** Memory that the kernel reads and writes: mapped by us, so V8 neither moves nor frees it. Used by the ring. */
import { addressOf, bind, bufferAt, type CFunction, systemError } from "./libc.ts";

const MMAP = {
  return: "pointer",
  arguments: ["pointer", "uint64", "int32", "int32", "int32", "int64"],
} as const;
const MREMAP = { return: "pointer", arguments: ["pointer", "uint64", "uint64", "int32", "pointer"] } as const;
const MUNMAP = { return: "int32", arguments: ["pointer", "uint64"] } as const;

const PROT_READ_WRITE = 1 | 2;
const MAP_SHARED = 1;
const MAP_ANONYMOUS = 0x20;
const MREMAP_MAYMOVE = 1;
const MREMAP_FIXED = 2;
const MAP_FAILED = 2n ** 64n - 1n;

let mmap: CFunction<typeof MMAP> | undefined;
let mremap: CFunction<typeof MREMAP> | undefined;
let munmap: CFunction<typeof MUNMAP> | undefined;

/** One piece of mapped memory. It lasts until `unmap`. */
export interface Mapping {
  /** Address of the first byte: below 2^53 in every process, so a number is enough. */
  readonly address: number;
  readonly byteLength: number;
  /** The memory as JavaScript sees it. */
  readonly buffer: ArrayBuffer;
}

/** Maps memory of zeros. Throws `ERR_SYSTEM_CALL` if there is none. */
export function mapMemory(byteLength: number): Mapping {
  return map(byteLength, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/**
 * Puts mapped memory in the place of the memory that V8 has for a buffer, too: both addresses are the same memory then.
 * V8 frees its own address only. Returns the mapping with that buffer; the mapping itself if the system refuses.
 *
 * @param mapping memory from `mapMemory`
 * @param buffer memory of WebAssembly, which V8 neither moves nor shares with other data; at least as long
 */
export function showIn(mapping: Mapping, buffer: ArrayBuffer): Mapping {
  mremap ??= bind("mremap", MREMAP);
  const { address, byteLength } = mapping;
  // With an old length of 0 the memory stays where it is, too.
  const shown = mremap(BigInt(address), 0n, BigInt(byteLength), MREMAP_MAYMOVE | MREMAP_FIXED, addressOf(buffer));
  return shown === MAP_FAILED ? mapping : { address, byteLength, buffer };
}

/** Maps memory that the kernel allocated for a descriptor, such as a ring. Throws `ERR_SYSTEM_CALL`. */
export function mapDescriptor(descriptor: number, offset: number, byteLength: number): Mapping {
  return map(byteLength, MAP_SHARED, descriptor, offset);
}

/**
 * Gives memory back to the system. Reading or writing a view of it afterwards ends the process, so whoever had the
 * views must be closed or dead.
 */
export function unmap({ address, byteLength }: Pick<Mapping, "address" | "byteLength">): void {
  munmap ??= bind("munmap", MUNMAP);
  if (munmap(BigInt(address), BigInt(byteLength)) !== 0) throw systemError("munmap");
}

function map(byteLength: number, flags: number, descriptor: number, offset: number): Mapping {
  mmap ??= bind("mmap", MMAP);
  const address = mmap(0n, BigInt(byteLength), PROT_READ_WRITE, flags, descriptor, BigInt(offset));
  if (address === MAP_FAILED) throw systemError("mmap");
  return { address: Number(address), byteLength, buffer: bufferAt(address, byteLength) };
}
