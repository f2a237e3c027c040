/**
 * A thread that does nothing but give sockets of io_uring away and take them again: to Node, or to another thread. The
 * test of threads that die meanwhile starts it as a worker.
 */
import { once } from "node:events";
import { createServer } from "node:net";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { BareSocket } from "../../../src/wire/transport/transport.ts";
import { UringSockets } from "../../../src/wire/transport/uring/uring-sockets.ts";

export interface PassingTask {
  readonly memory: SharedArrayBuffer;
  /** Descriptors that are on the list of `memory`. */
  readonly descriptors: readonly number[];
  /** One word: the number of sockets that were given away so far. */
  readonly given: SharedArrayBuffer;
  /** The other thread; undefined to give sockets to Node and take them back. */
  readonly other: { readonly port: MessagePort; readonly uringEstate: SharedArrayBuffer } | undefined;
}

const { memory, descriptors, given, other }: PassingTask = workerData;
const NOTHING = Buffer.alloc(0);
const sockets = new UringSockets(memory);
const count = new Int32Array(given);
/** Sockets that this thread has. */
const kept = new Set<BareSocket>();
let isStopped = false;

/** A socket of Node lets this thread make handles, as a shard's listening socket does. */
async function learnHandles(): Promise<void> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  sockets.accept(
    server,
    () => {},
    () => {},
  );
}

function passToNode(): void {
  const transports = descriptors.map((descriptor) => sockets.adopt({ descriptor }, NOTHING));
  const turn = (): void => {
    for (const [index, transport] of transports.entries()) {
      if (!("toStream" in transport)) throw new Error("a transport of io_uring can become a stream");
      transports[index] = sockets.take(
        (transport as ReturnType<UringSockets["take"]>).toStream(NOTHING),
        NOTHING,
        true,
      );
      count[0] = (count[0] as number) + 1;
    }
    setImmediate(turn);
  };
  setImmediate(turn);
}

function passOn(socket: BareSocket): void {
  if (other === undefined) return;
  const transport = sockets.adopt(socket, NOTHING);
  const detached = transport.detach();
  if (detached === undefined || !("socket" in detached)) {
    transport.destroy();
    return;
  }
  const bare = detached.socket;
  if (isStopped || !sockets.post(other, { socket: bare }, [])) kept.add(bare);
  else count[0] = (count[0] as number) + 1;
}

await learnHandles();
if (other === undefined) passToNode();
else {
  other.port.on("message", ({ socket }: { readonly socket: BareSocket }) => passOn(socket));
  for (const descriptor of descriptors) passOn({ descriptor });
}
parentPort?.on("message", () => {
  isStopped = true;
  // What the other thread has posted before its end comes first.
  setImmediate(() => setImmediate(() => parentPort?.postMessage(kept.size)));
});
parentPort?.postMessage("runs");
