/**
 * The load of the scenarios `bus` and `bus-delivery`: one actor publishes bursts of 64-byte messages. It publishes the
 * next burst when all subscribers have received an earlier one. All subscribers are on the publisher's shard, or with
 * `--across` all on another shard. The content and the order of the messages are checked.
 *
 *     node bench/loads/bus.ts URL [--across] [--subscribers 1] [--burst 1000] [--inflight 2] [--duration S]
 *         [--warmup S]
 */
import { parseArgs } from "node:util";
import { connect } from "../../src/wire/websocket/index.ts";
import { count } from "./counted.ts";
import { Subscriber } from "./subscriber.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    across: { type: "boolean", default: false },
    subscribers: { type: "string", default: "1" },
    burst: { type: "string", default: "1000" },
    inflight: { type: "string", default: "2" },
    duration: { type: "string", default: "5" },
    warmup: { type: "string", default: "1" },
  },
});
const [url = ""] = positionals;
const [burst, inflight] = [Number(values.burst), Number(values.inflight)];
const RECEIVE_TIMEOUT_MS = 5_000;

const publisher = await connect(url);
const { value: greeting } = await publisher[Symbol.asyncIterator]().next();
const publishersShard = Number(greeting?.text);

const subscribers: Subscriber[] = [];
/** Subscribers on the other shard. They stay open, because the next connection would otherwise go to the same shard. */
const unused: Subscriber[] = [];
while (subscribers.length < Number(values.subscribers)) {
  const subscriber = await Subscriber.open(url, delivered);
  const onWantedShard = (subscriber.shard !== publishersShard) === values.across;
  (onWantedShard ? subscribers : unused).push(subscriber);
  if (unused.length > 2 * Number(values.subscribers) + 8)
    throw new Error("the server doesn't spread its connections over shards");
}
for (const subscriber of subscribers) await subscriber.subscribe();

const deliveriesOfBurst = burst * subscribers.length;
let received = 0;
let receivedBefore = 0;
let completed = 0;
let latencies: number[] = [];
const startedAt: number[] = [];
let publishing = true;
for (let i = 0; i < inflight; i++) publish();

await count(
  { warmup: Number(values.warmup), duration: Number(values.duration) },
  {
    begin() {
      receivedBefore = received;
      latencies = [];
    },
    async end() {
      publishing = false;
      const [inTime, times] = [received - receivedBefore, latencies];
      const deadline = performance.now() + RECEIVE_TIMEOUT_MS;
      const expected = startedAt.length * deliveriesOfBurst;
      while (received < expected && performance.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      const wrong = subscribers.reduce((sum, subscriber) => sum + subscriber.wrong, 0);
      return { received: inTime, lost: expected - received, wrong, latencies: times, slipP99Ms: 0 };
    },
  },
);

/** Starts a burst. */
function publish(): void {
  startedAt.push(performance.now());
  void publisher.send(`publish ${burst}`);
}

/** Counts deliveries, and starts the next burst for each completed one. */
function delivered(messages: number): void {
  received += messages;
  for (; received >= (completed + 1) * deliveriesOfBurst; completed++) {
    latencies.push((performance.now() - (startedAt[completed] ?? 0)) * 1000);
    if (publishing) publish();
  }
}
