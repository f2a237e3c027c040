/**
 * Measures publishes to streams: client threads publish to streams in turn through the engine thread, and await the
 * positions. Run by hand.
 *
 *     node bench/engine.ts [--clients 2] [--streams 10000] [--bytes 100] [--size 10] [--inflight 20000] [--seconds 4]
 *
 * Prints the acknowledged publishes in a second over all clients, the CPU of the process for each, and its resident
 * memory. Every offset is checked.
 */

import { parseArgs } from "node:util";
import { MessageChannel, type MessagePort, parentPort, Worker, workerData } from "node:worker_threads";
import { EngineClient } from "../src/runtime/engine/client/engine-client.ts";
import { runEngine } from "../src/runtime/engine/engine-thread.ts";
import type { EngineReport } from "../src/runtime/engine/messages.ts";
import { memory } from "../src/runtime/streams/memory/memory-options.ts";
import { checkTopics } from "../src/runtime/streams/topic-rules.ts";
import { encodeText } from "../src/wire/protocol/frame.ts";

const WARM_UP_MS = 1_500;

interface Settings {
  readonly streams: number;
  readonly bytes: number;
  readonly inflight: number;
}

type Role = { readonly engine: MessagePort } | { readonly client: MessagePort; readonly settings: Settings };

if (parentPort === null) await measure();
else if ("engine" in (workerData as Role)) await serve(workerData.engine);
else await publish(workerData.client, workerData.settings);

async function measure(): Promise<void> {
  const { values } = parseArgs({
    options: {
      clients: { type: "string", default: "2" },
      streams: { type: "string", default: "10000" },
      bytes: { type: "string", default: "100" },
      size: { type: "string", default: "10" },
      inflight: { type: "string", default: "20000" },
      seconds: { type: "string", default: "4" },
    },
  });
  const control = new MessageChannel();
  new Worker(import.meta.filename, {
    workerData: { engine: control.port2, size: Number(values.size) },
    transferList: [control.port2],
  });
  await new Promise<EngineReport>((resolve) => control.port1.once("message", resolve));
  const settings = {
    streams: Number(values.streams),
    bytes: Number(values.bytes),
    inflight: Number(values.inflight),
  };
  const clients = Array.from({ length: Number(values.clients) }, () => {
    const { port1, port2 } = new MessageChannel();
    control.port1.postMessage({ kind: "client", port: port2, isMain: false }, [port2]);
    return new Worker(import.meta.filename, { workerData: { client: port1, settings }, transferList: [port1] });
  });
  const count = async (): Promise<number> => {
    const counts = clients.map((client) => {
      const answer = new Promise<number>((resolve) => client.once("message", resolve));
      client.postMessage("count");
      return answer;
    });
    return (await Promise.all(counts)).reduce((sum, each) => sum + each, 0);
  };
  await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
  const [before, cpuBefore, startedAt] = [await count(), process.cpuUsage(), performance.now()];
  await new Promise((resolve) => setTimeout(resolve, Number(values.seconds) * 1000));
  const published = (await count()) - before;
  const [cpu, seconds] = [process.cpuUsage(cpuBefore), (performance.now() - startedAt) / 1000];
  console.log({
    publishesPerSecond: Math.round(published / seconds),
    cpuMicrosEach: Number(((cpu.user + cpu.system) / published).toFixed(2)),
    residentMebibytes: Math.round(process.memoryUsage.rss() / 1024 / 1024),
  });
  process.exit(0);
}

async function serve(control: MessagePort): Promise<void> {
  const { module, options } = memory();
  const rules = checkTopics("bench", { "*": { history: { size: workerData.size } } });
  await runEngine({ module, options, node: "node-1", rules, pulse: undefined, control });
}

/** Publishes without an end, `inflight` at once. All clients publish to the same streams. */
async function publish(port: MessagePort, { streams, bytes, inflight }: Settings): Promise<void> {
  const client = new EngineClient();
  client.connect(port);
  const names = Array.from({ length: streams }, (_, index) => `stream:${index}:of:a:client`);
  const frame = encodeText("x".repeat(bytes));
  let acknowledged = 0;
  parentPort?.on("message", () => parentPort?.postMessage(acknowledged));
  const offsets = new Float64Array(streams);
  let next = 0;
  const loop = async (): Promise<void> => {
    while (true) {
      const stream = next++ % streams;
      const { position } = await client.publish(names[stream] as string, frame);
      if (position.offset <= (offsets[stream] as number)) throw new Error("an offset didn't rise");
      offsets[stream] = position.offset;
      acknowledged++;
    }
  };
  await Promise.all(Array.from({ length: inflight }, loop));
}
