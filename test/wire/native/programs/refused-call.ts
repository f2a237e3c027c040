/**
 * Answers a system call by an error (arguments: numbers of the call and of the error), as a container's seccomp profile
 * does, then prints why there is no io_uring.
 */
import { addressOf, bind, systemError } from "../../../../src/wire/native/libc.ts";
import { whyNoUring } from "../../../../src/wire/native/ring.ts";

const PR_SET_SECCOMP = 22;
const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_MODE_FILTER = 2n;
const [LOAD, JUMP_IF_EQUAL, RETURN] = [0x20, 0x15, 0x06];
const [ALLOW, ERRNO] = [0x7fff0000, 0x00050000];

const [call = "", error = ""] = process.argv.slice(2);
// Instructions (`struct sock_filter`): a code, two jumps of one byte each, an operand. The first loads the call's number.
const instructions = [
  [LOAD, 0, 0],
  [JUMP_IF_EQUAL, 1 << 8, Number(call)],
  [RETURN, 0, ERRNO | Number(error)],
  [RETURN, 0, ALLOW],
].flatMap(([code = 0, jumps = 0, operand = 0]) => [code | (jumps << 16), operand]);
const filter = new Uint32Array(instructions);
const program = Buffer.alloc(16);
program.writeUInt16LE(instructions.length / 2);
program.writeBigUInt64LE(addressOf(filter), 8);
const prctl = bind("prctl", { return: "int32", arguments: ["int32", "uint64", "uint64", "uint64", "uint64"] });
if (prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n) !== 0) throw systemError("prctl");
if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, addressOf(program), 0n, 0n) !== 0) throw systemError("prctl");
console.log(whyNoUring());
