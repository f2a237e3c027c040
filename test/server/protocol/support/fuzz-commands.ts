/** The law that holds for any bytes of a client, and bytes to try it with. Used by a test and by the fuzzer. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { jsonCodec } from "../../../../src/server/protocol/json/codec.ts";
import type { Codec, Command } from "../../../../src/server/protocol/messages.ts";
import { protobufCodec } from "../../../../src/server/protocol/protobuf/codec.ts";
import { asClientObject, asJsonText, command } from "./arbitrary-commands.ts";
import { clientProtobuf } from "./client-codecs.ts";

export function asJson(all: readonly Command[]): Buffer {
  return Buffer.from(all.map((one) => asJsonText(one)).join("\n"));
}

export function asProtobuf(all: readonly Command[]): Buffer {
  return Buffer.from(clientProtobuf.encodeCommands(all.map(asClientObject)));
}

const change = fc.record({ at: fc.nat(), byte: fc.nat(255), how: fc.constantFrom("set", "insert", "cut", "double") });

/** Commands as bytes, some of which are changed, cut or doubled. */
export function damaged(encode: (all: readonly Command[]) => Buffer): fc.Arbitrary<Buffer> {
  const commands = fc.array(command, { minLength: 1, maxLength: 4 });
  return fc.tuple(commands, fc.array(change, { maxLength: 4 })).map(([all, changes]) => {
    let bytes = encode(all);
    for (const { at, byte, how } of changes) {
      const index = at % (bytes.length + 1);
      const [before, after] = [bytes.subarray(0, index), bytes.subarray(index)];
      if (how === "set") bytes = Buffer.concat([before, Buffer.of(byte), after.subarray(1)]);
      else if (how === "insert") bytes = Buffer.concat([before, Buffer.of(byte), after]);
      else if (how === "cut") bytes = before;
      else bytes = Buffer.concat([before, bytes.subarray(index >> 1)]);
    }
    return bytes;
  });
}

/**
 * Reads bytes, which never throws. If they are commands, the commands can be written by a client and read again as the
 * same: also in Protobuf if they were JSON.
 */
export function checkLaw(codec: Codec, bytes: Buffer): void {
  const commands = codec.decode(bytes);
  if (commands === undefined) return;
  assert(commands.length > 0);
  if (codec === jsonCodec) assert.deepEqual(jsonCodec.decode(asJson(commands)), commands);
  assert.deepEqual(protobufCodec.decode(asProtobuf(commands)), commands);
}
