/**
 * A process that takes over and speaks nonsense, for tests: `babbler.ts <path>`. Its hello is right, and then come
 * bytes that are no message. It goes on running.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { ownFacts } from "../../../../src/board/takeover/compatibility.ts";
import type { SuccessorMessage } from "../../../../src/board/takeover/messages.ts";
import { DESCRIPTORS, MESSAGES, readExactly, TOKEN_BYTES } from "../../../../src/wire/passing/first-bytes.ts";
import { encodeFrame } from "../../../../src/wire/passing/frames.ts";

const path = process.argv[2] ?? "";

async function open(): Promise<Socket> {
  const socket = connect(path).on("error", () => {});
  await once(socket, "connect");
  return socket;
}

const [messages, descriptors] = [await open(), await open()];
messages.write(MESSAGES);
const token = await readExactly(messages, TOKEN_BYTES);
descriptors.write(Buffer.concat([Buffer.from(DESCRIPTORS), token]));
const hello: SuccessorMessage = { kind: "hello", facts: ownFacts({ moves: { "": 1 }, shards: 1 }) };
for (const bytes of encodeFrame(hello, 0)) messages.write(bytes);
// The welcome.
await once(messages, "data");
messages.write(Buffer.alloc(64, 0xff));
setInterval(() => {}, 60_000);
