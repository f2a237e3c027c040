/**
 * Sending and receiving descriptors over a Unix socket (SCM_RIGHTS), and what the kernel knows of the other end.
 * `wire/passing` uses these functions. Linux on 64-bit machines only: the memory layouts are those of its libc.
 */
import { endianness } from "node:os";
import { SwitchboardError } from "../../errors.ts";
import { addressOf, bind, type CFunction, systemError, whyNoLibc } from "./libc.ts";
import { closeDescriptor } from "./sockets.ts";

/** Largest number of descriptors in one message (SCM_MAX_FD of Linux). */
export const MAX_DESCRIPTORS_IN_MESSAGE = 253;

/** A process at the other end of a Unix socket, as the kernel knows it (SO_PEERCRED). */
export interface PeerProcess {
  /** Process id in our namespace; 0 for a process that isn't visible from here. */
  readonly pid: number;
  readonly uid: number;
}

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SCM_RIGHTS = 1;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;
const F_DUPFD_CLOEXEC = 1030;

// struct msghdr: name, namelen, iov, iovlen, control, controllen, flags.
const MSGHDR_BYTES = 56;
const IOV_AT = 16;
const IOV_LENGTH_AT = 24;
const CONTROL_AT = 32;
const CONTROL_LENGTH_AT = 40;
const FLAGS_AT = 48;
// struct cmsghdr: len (8), level (4), type (4), then the descriptors.
const CMSG_HEADER_BYTES = 16;
const LEVEL_AT = 8;
const TYPE_AT = 12;

const SENDMSG = { arguments: ["int32", "pointer", "int32"], return: "int64" } as const;
const FCNTL = { arguments: ["int32", "int32", "int32"], return: "int32" } as const;
const GETSOCKOPT = { arguments: ["int32", "int32", "int32", "pointer", "pointer"], return: "int32" } as const;

interface Functions {
  readonly sendmsg: CFunction<typeof SENDMSG>;
  readonly recvmsg: CFunction<typeof SENDMSG>;
  readonly fcntl: CFunction<typeof FCNTL>;
  readonly getsockopt: CFunction<typeof GETSOCKOPT>;
  readonly message: Message;
}

let bound: Functions | undefined;

function functions(): Functions {
  bound ??= {
    sendmsg: bind("sendmsg", SENDMSG),
    recvmsg: bind("recvmsg", SENDMSG),
    fcntl: bind("fcntl", FCNTL),
    getsockopt: bind("getsockopt", GETSOCKOPT),
    message: new Message(),
  };
  return bound;
}

/** Tells in one sentence why this process can pass no descriptors to others. Undefined if it can. */
export function whyNoPassing(): string | undefined {
  if (process.platform !== "linux") return "descriptors are passed between processes on Linux only";
  if (endianness() !== "LE" || !["x64", "arm64", "riscv64", "loong64"].includes(process.arch)) {
    return `descriptors aren't passed on ${process.arch} machines`;
  }
  return whyNoLibc();
}

/**
 * Sends copies of descriptors, at most 253, in one message of one byte. The caller's descriptors stay open. Never
 * waits. Throws `ERR_SYSTEM_CALL`: EAGAIN when the other end is too far behind, EPIPE when it is gone.
 */
export function sendDescriptors(socket: number, descriptors: readonly number[]): void {
  const { sendmsg, message } = functions();
  const { control } = message;
  const length = CMSG_HEADER_BYTES + 4 * descriptors.length;
  control.writeBigUInt64LE(BigInt(length));
  control.writeInt32LE(SOL_SOCKET, LEVEL_AT);
  control.writeInt32LE(SCM_RIGHTS, TYPE_AT);
  for (const [index, descriptor] of descriptors.entries()) {
    control.writeInt32LE(descriptor, CMSG_HEADER_BYTES + 4 * index);
  }
  if (sendmsg(socket, message.prepare(alignedBytes(length)), MSG_DONTWAIT | MSG_NOSIGNAL) < 0n) {
    throw systemError("sendmsg");
  }
}

/**
 * Receives the descriptors of one message. They are the caller's, and aren't inherited by programs that this process
 * starts. Never waits. Throws `ERR_SYSTEM_CALL`: EAGAIN when nothing has been sent. Throws `ERR_OUT_OF_DESCRIPTORS`
 * when the process has no room for all of them: then those that had room are closed.
 */
export function receiveDescriptors(socket: number): number[] {
  const { recvmsg, message } = functions();
  if (recvmsg(socket, message.prepare(message.control.length), MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0n) {
    throw systemError("recvmsg");
  }
  const descriptors = descriptorsIn(message.control.subarray(0, message.controlLength));
  if ((message.flags & MSG_CTRUNC) === 0) return descriptors;
  for (const descriptor of descriptors) closeDescriptor(descriptor);
  const text =
    "the process can't open the descriptors that were passed to it: raise its limit of open files (ulimit -n)";
  throw new SwitchboardError("ERR_OUT_OF_DESCRIPTORS", text);
}

/** Returns a second descriptor of the same open file. Throws `ERR_SYSTEM_CALL`. */
export function duplicate(descriptor: number): number {
  const copy = functions().fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw systemError("fcntl");
  return copy;
}

/** Returns who is at the other end of a connected Unix socket: who connected, or who listened. */
export function peerOf(socket: number): PeerProcess {
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentials.length);
  if (functions().getsockopt(socket, SOL_SOCKET, SO_PEERCRED, credentials, length) < 0) throw systemError("getsockopt");
  return { pid: credentials.readInt32LE(0), uid: credentials.readUInt32LE(4) };
}

/**
 * A `struct msghdr` with one byte of data and room for descriptors. One for the thread, because calls never overlap.
 */
class Message {
  readonly control = Buffer.alloc(alignedBytes(CMSG_HEADER_BYTES + 4 * MAX_DESCRIPTORS_IN_MESSAGE));
  readonly #header = Buffer.alloc(MSGHDR_BYTES);
  readonly #data = Buffer.alloc(1);
  readonly #vector = Buffer.alloc(16);

  constructor() {
    this.#vector.writeBigUInt64LE(addressOf(this.#data));
    this.#vector.writeBigUInt64LE(1n, 8);
    this.#header.writeBigUInt64LE(addressOf(this.#vector), IOV_AT);
    this.#header.writeBigUInt64LE(1n, IOV_LENGTH_AT);
    this.#header.writeBigUInt64LE(addressOf(this.control), CONTROL_AT);
  }

  /** Returns the header for a call, with so much of `control`. */
  prepare(controlLength: number): Buffer {
    this.#header.writeBigUInt64LE(BigInt(controlLength), CONTROL_LENGTH_AT);
    return this.#header;
  }

  get controlLength(): number {
    return Number(this.#header.readBigUInt64LE(CONTROL_LENGTH_AT));
  }

  get flags(): number {
    return this.#header.readInt32LE(FLAGS_AT);
  }
}

/** CMSG_ALIGN. */
function alignedBytes(length: number): number {
  return 8 * Math.ceil(length / 8);
}

function descriptorsIn(control: Buffer): number[] {
  const found: number[] = [];
  for (let at = 0; at + CMSG_HEADER_BYTES <= control.length; ) {
    const length = Number(control.readBigUInt64LE(at));
    if (length < CMSG_HEADER_BYTES) break;
    if (control.readInt32LE(at + LEVEL_AT) === SOL_SOCKET && control.readInt32LE(at + TYPE_AT) === SCM_RIGHTS) {
      for (let slot = at + CMSG_HEADER_BYTES; slot + 4 <= at + length; slot += 4) found.push(control.readInt32LE(slot));
    }
    at += alignedBytes(length);
  }
  return found;
}
