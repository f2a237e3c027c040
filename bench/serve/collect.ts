/**
 * Collects garbage in each thread of a server at SIGUSR2, so that only what is kept is measured. Loaded by `--import`.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { BroadcastChannel, isMainThread } from "node:worker_threads";

setFlagsFromString("--expose_gc");
const collect: () => void = runInNewContext("gc");
const threads = new BroadcastChannel("collect");
threads.onmessage = collect;
threads.unref();
if (isMainThread) {
  process.on("SIGUSR2", () => {
    threads.postMessage("collect");
    collect();
  });
}
