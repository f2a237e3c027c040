/** Listens in ways that a takeover without `node:ffi` has no place for. Prints the errors as JSON. */
import { createServer } from "node:http";
import { Switchboard } from "../../../../src/index.ts";

const board = await Switchboard.start({ actor: process.argv[2] ?? "", takeover: true, shards: 1, warmUp: false });
const outcomes = await Promise.allSettled([
  board.listen({ port: 0, accept: "shard" }),
  board.listen(createServer(), { path: "/tmp/never-bound" }),
]);
const errors = outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason : undefined));
console.log(JSON.stringify(errors.map(({ code, message }) => `${code}: ${message}`)));
await board.close();
