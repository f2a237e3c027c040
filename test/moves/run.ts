/** `npm run moves`: subscribers that hop between threads, 10,000 moves by marks and 10,000 in the naive way. */
import { runHoppers } from "./hop-run.ts";

for (const way of ["marks", "naive"] as const) {
  const began = process.cpuUsage();
  const counts = await runHoppers({ way, moves: 10_000 });
  const { user, system } = process.cpuUsage(began);
  console.log(way.padEnd(6), JSON.stringify(counts), `${((user + system) / 1e6).toFixed(1)} s of CPU`);
}
