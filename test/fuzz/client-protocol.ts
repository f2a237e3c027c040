/**
 * Fuzzes the codecs of the client protocol with damaged commands: none may cause an exception, and what is read must be
 * what a client can write.
 *
 *    npm run fuzz:client-protocol -- [--seconds 60] [--seed N]
 *
 * Exits with 1 after a finding, and prints it with the seed and the path for fast-check.
 */
import { parseArgs } from "node:util";
import fc from "fast-check";
import { jsonCodec } from "../../src/server/protocol/json/codec.ts";
import { protobufCodec } from "../../src/server/protocol/protobuf/codec.ts";
import { asJson, asProtobuf, checkLaw, damaged } from "../server/protocol/support/fuzz-commands.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
  },
});
const CODECS = [
  [jsonCodec, asJson],
  [protobufCodec, asProtobuf],
] as const;

for (const [codec, encode] of CODECS) {
  const result = fc.check(
    fc.property(damaged(encode), (bytes) => checkLaw(codec, bytes)),
    {
      seed: Number(values.seed),
      numRuns: Number.MAX_SAFE_INTEGER,
      interruptAfterTimeLimit: (Number(values.seconds) * 1_000) / CODECS.length,
    },
  );
  console.log(
    `${codec.name}: seed ${result.seed}, ${result.numRuns} messages, ${result.failed ? "1 finding" : "0 findings"}`,
  );
  if (!result.failed) continue;
  console.log(fc.defaultReportMessage(result));
  process.exitCode = 1;
}
