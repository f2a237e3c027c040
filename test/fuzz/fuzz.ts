/**
 * Fuzzes our codec against that of ws: both must give the same verdict and the same messages for every session.
 *
 *    npm run fuzz -- [--seconds 60] [--seed N] [--findings 1] [--without-context] [--replay HEX]
 *    npm run fuzz -- --sockets uring|relay [--seconds 60] [--seed N] [--findings 1]
 *
 * With `--sockets`, compares two boards in place of the decoders: one over Node's sockets, one over these.
 *
 * Exits with 1 after a finding. Prints each finding for `--replay`.
 */
import { parseArgs } from "node:util";
import { type Finding, fuzz } from "./fuzzer.ts";
import { fuzzSockets, type Sockets } from "./over-sockets.ts";
import { fromHex, toHex } from "./session.ts";
import { judge } from "./verdict.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Date.now() % 2 ** 32) },
    findings: { type: "string", default: "1" },
    "without-context": { type: "boolean", default: false },
    replay: { type: "string" },
    sockets: { type: "string" },
  },
});

if (values.sockets !== undefined) process.exitCode = await searchSockets(values.sockets as Sockets);
else process.exitCode = values.replay === undefined ? await search() : await replay(values.replay);

async function searchSockets(sockets: Sockets): Promise<number> {
  console.log(`seed ${values.seed}`);
  const { runs, findings } = await fuzzSockets({
    sockets,
    seed: Number(values.seed),
    seconds: Number(values.seconds),
    maxFindings: Number(values.findings),
    progress: (runs) => console.log(`${runs} sessions`),
  });
  console.log(`${runs} sessions, ${findings.length} findings`);
  for (const { session, node, other } of findings) {
    console.log(`session ${toHex(session)}`);
    console.log(`node: ${node.bytes.toString("hex")}${node.reset ? ", reset" : ""}`);
    console.log(`${sockets}: ${other.bytes.toString("hex")}${other.reset ? ", reset" : ""}`);
  }
  return findings.length === 0 ? 0 : 1;
}

async function search(): Promise<number> {
  console.log(`seed ${values.seed}`);
  const { runs, corpus, features, differences, findings } = await fuzz({
    seed: Number(values.seed),
    seconds: Number(values.seconds),
    maxFindings: Number(values.findings),
    withoutContext: values["without-context"],
    progress: ({ runs, corpus, features }) => console.log(`${runs} sessions, ${corpus} kept, ${features} features`),
  });
  console.log(`${runs} sessions, ${corpus} kept, ${features} features, ${findings.length} findings`);
  for (const [reason, times] of differences) console.log(`known difference, ${times} times: ${reason}`);
  for (const finding of findings) show(finding);
  return findings.length === 0 ? 0 : 1;
}

async function replay(hex: string): Promise<number> {
  const session = fromHex(hex);
  const judgement = await judge(session);
  show({ session, judgement });
  if (judgement.because !== undefined) console.log(`a known difference: ${judgement.because}`);
  return judgement.agrees ? 0 : 1;
}

function show({ session, judgement, thrown }: Finding): void {
  const { role, agreement } = session;
  console.log(`--replay ${toHex(session)}`);
  console.log(`as ${role}, compression: ${agreement}`);
  if (thrown !== undefined) console.log(thrown);
  if (judgement === undefined) return;
  console.log("ours:", judgement.ours.events);
  console.log("theirs:", judgement.theirs.events, judgement.theirs.violation);
}
