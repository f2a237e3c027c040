/** Creates an io_uring: its descriptor, its mapped memory, and views of it. `Ring` uses what is created here. */
import { SwitchboardError } from "../../errors.ts";
import { addressOf, bind, type CFunction, errno, systemError, whyNoLibc } from "./libc.ts";
import { type Mapping, mapDescriptor, unmap } from "./memory.ts";
import { closeDescriptor } from "./sockets.ts";

/** `syscall(2)` with all its arguments: the way of Node that is fastest for more than three. */
const SYSCALL = {
  return: "int64",
  arguments: ["int64", "int64", "int64", "int64", "int64", "int64", "int64"],
} as const;
let syscall: CFunction<typeof SYSCALL> | undefined;
/** The same for a call that returns a descriptor: a number, which needs no conversion. */
const OPENING = { return: "int32", arguments: SYSCALL.arguments } as const;

/** Numbers of the system calls, the same on x86-64 and arm64. */
const IO_URING_SETUP = 425n;
export const IO_URING_ENTER = 426n;
const IO_URING_REGISTER = 427n;

const REGISTER_EVENTFD = 4n;
const REGISTER_PROBE = 8n;
const REGISTER_PBUF_RING = 22n;
const REGISTER_SYNC_CANCEL = 24n;

// Flags of the set-up (`struct io_uring_params`, `include/uapi/linux/io_uring.h`).
const SETUP_CQSIZE = 1 << 3;
const SETUP_SUBMIT_ALL = 1 << 7;
/** The kernel says in shared memory when completions wait for an `io_uring_enter`. */
const SETUP_TASKRUN_FLAG = 1 << 9;
const SETUP_SINGLE_ISSUER = 1 << 12;
/** Completions are made within `io_uring_enter` only, so nothing interrupts JavaScript. Linux 6.1. */
const SETUP_DEFER_TASKRUN = 1 << 13;
const OFF_SQES = 0x10000000;

const PARAMS_BYTES = 120;
/** Offsets in `struct io_uring_params`. */
const params = { sqEntries: 0, cqEntries: 4, flags: 8, sq: 40, cq: 80 };

export const SQE_WORDS = 16;
export const CQE_WORDS = 4;

/** Calls `syscall(2)`. The result is -1 and `errno` is set when the call fails. */
export function systemCall(): CFunction<typeof SYSCALL> {
  syscall ??= bind("syscall", SYSCALL);
  return syscall;
}

/** A ring that was just created. All positions are in 32-bit words. */
export interface RingParts extends CompletionQueuePlace {
  readonly descriptor: number;
  /** Both queues, without the entries of the submission queue. */
  readonly words: Int32Array;
  readonly sqes: Int32Array;
  readonly sqEntries: number;
  readonly sqHead: number;
  readonly sqTail: number;
  readonly sqFlags: number;
}

/** Keeps the list of what a ring consists of. */
export interface RingOwner {
  /** Its first word holds a descriptor, plus 1, that has come into being and isn't listed: see `Estate`. */
  readonly hand: Int32Array;
  ownRing(descriptor: number): void;
  ownMapping(mapping: Mapping): void;
  /** The completion queue lies in the mapping that was told last. */
  ownCompletions(place: CompletionQueuePlace): void;
}

/** Place of a completion queue in its mapping, in 32-bit words. */
export interface CompletionQueuePlace {
  readonly cqHead: number;
  readonly cqTail: number;
  readonly cqMask: number;
  readonly cqEntries: number;
  readonly cqFlags: number;
}

/**
 * Creates a ring for the calling thread, the only one that may use it. Throws `ERR_NO_URING`.
 *
 * @param listed told of the descriptor and of each mapping as soon as there is one
 */
export function setUpRing(entries: number, listed: RingOwner): RingParts {
  const block = Buffer.alloc(PARAMS_BYTES);
  block.writeUInt32LE(
    SETUP_CQSIZE | SETUP_SUBMIT_ALL | SETUP_TASKRUN_FLAG | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN,
    params.flags,
  );
  block.writeUInt32LE(2 * entries, params.cqEntries);
  const { hand } = listed;
  const call = bind("syscall", OPENING);
  const [size, pointer] = [BigInt(entries), addressOf(block)];
  const descriptor = call(IO_URING_SETUP, size, pointer, 0n, 0n, 0n, 0n);
  hand[0] = descriptor + 1;
  if (descriptor < 0) throw noRing("io_uring_setup");
  listed.ownRing(descriptor);
  const at = (offset: number): number => block.readUInt32LE(offset);
  const [sqEntries, cqEntries] = [at(params.sqEntries), at(params.cqEntries)];
  // `struct io_sqring_offsets` and `struct io_cqring_offsets`.
  const array = at(params.sq + 24);
  const cqes = at(params.cq + 20);
  const queues = mapDescriptor(descriptor, 0, Math.max(array + 4 * sqEntries, cqes + 4 * CQE_WORDS * cqEntries));
  listed.ownMapping(queues);
  const words = new Int32Array(queues.buffer);
  const place = {
    cqHead: at(params.cq) / 4,
    cqTail: at(params.cq + 4) / 4,
    cqMask: words[at(params.cq + 8) / 4] as number,
    cqEntries: cqes / 4,
    cqFlags: at(params.cq + 24) / 4,
  };
  listed.ownCompletions(place);
  const entriesMap = mapDescriptor(descriptor, OFF_SQES, 4 * SQE_WORDS * sqEntries);
  listed.ownMapping(entriesMap);
  // Entry N of the queue is always entry N of the memory.
  for (let index = 0; index < sqEntries; index++) words[array / 4 + index] = index;
  return {
    descriptor,
    words,
    sqes: new Int32Array(entriesMap.buffer),
    sqEntries,
    sqHead: at(params.sq) / 4,
    sqTail: at(params.sq + 4) / 4,
    sqFlags: at(params.sq + 16) / 4,
    ...place,
  };
}

/**
 * Registers a ring of provided buffers, in memory that lasts as long as the ring (`struct io_uring_buf_reg`). Throws
 * `ERR_NO_URING`.
 */
export function registerBufferRing(descriptor: number, memory: Mapping, entries: number, group: number): void {
  const block = Buffer.alloc(40);
  block.writeBigUInt64LE(BigInt(memory.address), 0);
  block.writeUInt32LE(entries, 8);
  block.writeUInt16LE(group, 12);
  const call = systemCall();
  const failed = call(IO_URING_REGISTER, BigInt(descriptor), REGISTER_PBUF_RING, addressOf(block), 1n, 0n, 0n) < 0n;
  if (failed) throw noRing("io_uring_register");
}

/** Lets the kernel signal an eventfd when completions wait for an `io_uring_enter`. */
export function registerEventfd(descriptor: number, eventfd: number): void {
  const argument = new Int32Array([eventfd]);
  const call = systemCall();
  const failed = call(IO_URING_REGISTER, BigInt(descriptor), REGISTER_EVENTFD, addressOf(argument), 1n, 0n, 0n) < 0n;
  if (failed) throw systemError("io_uring_register");
}

const CANCEL_ALL = 1 << 0;
const CANCEL_BY_DESCRIPTOR = 1 << 1;
/** Nanoseconds that a cancellation may take. Operations on sockets are cancelled at once. */
const CANCEL_NS = 100_000_000n;

/**
 * Cancels all operations on a descriptor that the kernel has, within the call. Their completions come when the kernel
 * is entered (`struct io_uring_sync_cancel_reg`; Linux 6.0).
 */
export function cancelOperations(ring: number, descriptor: number): void {
  const block = Buffer.alloc(64);
  block.writeInt32LE(descriptor, 8);
  block.writeUInt32LE(CANCEL_ALL | CANCEL_BY_DESCRIPTOR, 12);
  block.writeBigInt64LE(CANCEL_NS, 24);
  systemCall()(IO_URING_REGISTER, BigInt(ring), REGISTER_SYNC_CANCEL, addressOf(block), 1n, 0n, 0n);
}

/** Tells in one sentence why this process can have no ring. Undefined if it can. */
export function whyNoRing(operations: readonly number[]): string | undefined {
  if (process.platform !== "linux" || (process.arch !== "x64" && process.arch !== "arm64")) {
    return `io_uring needs Linux on x64 or arm64; this is ${process.platform} on ${process.arch}`;
  }
  const why = whyNoLibc();
  if (why !== undefined) return why;
  const mappings: Mapping[] = [];
  const ownMapping = (mapping: Mapping): number => mappings.push(mapping);
  const noList = { hand: new Int32Array(1), ownRing: noop, ownMapping, ownCompletions: noop };
  let parts: RingParts;
  try {
    parts = setUpRing(8, noList);
  } catch (error) {
    return (error as Error).message;
  }
  const whyNot = whyNoOperations(parts.descriptor, operations);
  for (const mapping of mappings) unmap(mapping);
  closeDescriptor(parts.descriptor);
  return whyNot;
}

function noop(): void {}

const ENOSYS = 38;
const EPERM = 1;
const EACCES = 13;
const EINVAL = 22;
const ENOMEM = 12;

/** Returns the error of a system call without which there is no ring, in one sentence that says what to do. */
function noRing(call: string): SwitchboardError {
  const code = errno();
  return new SwitchboardError("ERR_NO_URING", explain(call, code), { cause: systemError(call, code) });
}

function explain(call: string, code: number): string {
  switch (code) {
    case ENOSYS:
      return "this kernel has no io_uring, or a sandbox such as gVisor or a seccomp profile hides it: use Linux 6.1 or newer, and allow io_uring_setup, io_uring_enter and io_uring_register";
    case EPERM:
    case EACCES:
      return "io_uring is forbidden here: set the sysctl kernel.io_uring_disabled to 0, or let the seccomp profile, such as the default one of Docker and containerd, allow io_uring_setup, io_uring_enter and io_uring_register";
    case EINVAL:
      return "this kernel's io_uring is too old: use Linux 6.1 or newer";
    case ENOMEM:
      return "there is no memory for one more io_uring: raise the limit of locked memory (ulimit -l) to 2 MB for each shard of all processes of this user, because a reload or a takeover has two threads for each shard, or start fewer shards";
    default:
      return systemError(call, code).message;
  }
}

/** Tells why the kernel can't do one of these operations (`struct io_uring_probe`). Undefined if it can do all. */
function whyNoOperations(descriptor: number, operations: readonly number[]): string | undefined {
  const count = 64;
  const block = Buffer.alloc(16 + 8 * count);
  const call = systemCall();
  const [size, pointer] = [BigInt(count), addressOf(block)];
  const failed = call(IO_URING_REGISTER, BigInt(descriptor), REGISTER_PROBE, pointer, size, 0n, 0n) < 0n;
  if (failed) return explain("io_uring_register", errno());
  const knowsAll = operations.every((operation) => (block.readUInt16LE(16 + 8 * operation + 2) & 1) === 1);
  return knowsAll ? undefined : "this kernel's io_uring lacks an operation: use Linux 6.1 or newer";
}
