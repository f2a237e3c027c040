/** Generates valid sessions, from which the fuzzer starts. */
import type { Role } from "../../src/wire/protocol/role.ts";
import { deflateMessage } from "../support/deflate.ts";
import { clientFrame, close } from "../support/frames.ts";
import type { Random } from "./random.ts";
import { AGREEMENTS, LIMITS, type Session } from "./session.ts";

const WORDS = ["", "a", "hello ", "grüße ", "日本 ", "🙂", "\u{10ffff}", "\0", '{"id":12345}'];
const LENGTHS = [0, 1, 2, 125, 126, 127, 128, 300, LIMITS.maxPayloadBytes - 1, LIMITS.maxPayloadBytes];
const MOST_MESSAGES = 5;
const HISTORY_BYTES = 32 * 1024;

/**
 * A valid session: messages (fragmented or not, compressed or not) with control frames among them, perhaps with a close
 * at the end.
 */
export function generate(random: Random): Session {
  const role = random.pick<Role>(["server", "client"]);
  const agreement = random.pick(AGREEMENTS);
  const frames: Buffer[] = [];
  const frame = (opcode: number, payload: Uint8Array, fin = true, rsv = 0): void => {
    // A server's frames aren't masked.
    frames.push(clientFrame(opcode, payload, { fin, rsv, masked: role === "server", key: random.bytes(4) }));
  };
  const control = (): void => frame(random.pick([0x9, 0xa]), random.bytes(random.pick([0, 1, 4, 125])));
  let history: Buffer = Buffer.alloc(0);
  for (let messages = random.below(MOST_MESSAGES + 1); messages > 0; messages--) {
    const isText = random.chance(1, 2);
    const plain = isText ? textOf(random) : random.bytes(random.pick(LENGTHS));
    const compressed = agreement !== "none" && random.chance(2, 3);
    let payload = plain;
    if (compressed) {
      payload = deflateMessage(plain, agreement === "context" && history.length > 0 ? history : undefined);
      history = Buffer.concat([history, plain]).subarray(-HISTORY_BYTES);
    }
    const fragments = 1 + (random.chance(1, 2) ? random.below(LIMITS.maxFragments) : 0);
    const edges = Array.from({ length: fragments - 1 }, () => random.below(payload.length + 1)).toSorted(
      (a, b) => a - b,
    );
    let from = 0;
    for (const [i, to] of [...edges, payload.length].entries()) {
      const opcode = i > 0 ? 0x0 : isText ? 0x1 : 0x2;
      frame(opcode, payload.subarray(from, to), i === edges.length, i === 0 && compressed ? 4 : 0);
      from = to;
      if (random.chance(1, 4)) control();
    }
  }
  if (random.chance(1, 3)) frames.push(closeFrame(random, role));
  return { role, agreement, cuts: random.next(), bytes: Buffer.concat(frames) };
}

function textOf(random: Random): Buffer {
  const words = Array.from({ length: random.below(30) }, () => random.pick(WORDS));
  return Buffer.from(words.join(""));
}

function closeFrame(random: Random, role: Role): Buffer {
  const code = random.pick([undefined, 1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999]);
  return close(code, code === undefined ? "" : random.pick(["", "going", "ü", "x".repeat(123)]), {
    masked: role === "server",
  });
}
