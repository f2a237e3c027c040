/**
 * The load of the scenario `stream-memory`: fills a quarter of the streams, and then the others. `--duration` is the
 * pause after each step, in which the server's memory is measured.
 *
 *     node bench/loads/stream-memory.ts URL [--streams 10000] [--publications 100] [--duration S] [--warmup S]
 */
import { parseArgs } from "node:util";
import { countWork, toldStored } from "./counted.ts";
import { StreamPublisher } from "./stream-publisher.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    streams: { type: "string", default: "10000" },
    publications: { type: "string", default: "100" },
    duration: { type: "string", default: "1" },
    warmup: { type: "string", default: "0" },
  },
});
const [streams, publications, pause] = [Number(values.streams), Number(values.publications), Number(values.duration)];
const firstStep = Math.ceil(streams / 4);

const publisher = await StreamPublisher.open(positionals[0] ?? "");
await countWork(async () => {
  await publisher.fill(publications, 0, firstStep);
  await toldStored(publications * firstStep, pause);
  await publisher.fill(publications, firstStep, streams - firstStep);
  await toldStored(publications * streams, pause);
  return { received: publications * streams, lost: 0, wrong: 0, latencies: [], slipP99Ms: 0 };
});
