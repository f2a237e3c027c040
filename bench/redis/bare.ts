/** A process with nothing but `@redis/client`, which publishes or subscribes. Subscribers only count. */
import { createClient } from "@redis/client";
import { answerCalls, reportReceived } from "./calls.ts";
import { Latencies } from "./messages.ts";
import { Publisher } from "./publisher.ts";

const client = createClient({ url: process.argv[2] ?? "" });
await client.connect();

const received = [0];
const latencies = new Latencies();

answerCalls({
  ...new Publisher((topic, message) => client.publish(topic, message as never)).handlers,
  async subscribe(channels: readonly string[]) {
    const listener = (message: Buffer): void => {
      received[0] = (received[0] ?? 0) + 1;
      // The message of a stream comes with its place before it.
      if (latencies.isRecording) latencies.record(message, message.length - 100);
    };
    await client.subscribe([...channels], listener, true);
    reportReceived(received);
  },
  receivedSoFar: () => received,
  beginLatencies: () => latencies.begin(),
  endLatencies: () => latencies.end(),
});
