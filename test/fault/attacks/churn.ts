/** Attacks by many connections that come and go. */
import { close, text } from "../../support/frames.ts";
import { upgradeRequest } from "../../support/raw-client.ts";
import { type Attack, COMMON_GROWTH_MIB, crowd } from "./attack.ts";
import { Peer } from "./peer.ts";

export const churn: readonly Attack[] = [
  {
    fault: "connection churn",
    tried: (count) => `${count} connections opened, used once and closed`,
    full: 20_000,
    short: 300,
    verdicts: ["1000"],
    // The bound includes the main thread's heap: each request is a hundred objects.
    memoryMiB: 2 * COMMON_GROWTH_MIB,
    run: ({ port, count }) =>
      crowd(count, 32, async () => {
        const peer = await Peer.open(port);
        const lived = await peer.survival();
        if (lived !== "survived") return lived;
        await peer.write(close(1000));
        return peer.leave(await peer.verdict());
      }),
  },
  {
    fault: "connection churn, 101 not awaited",
    tried: (count) => `${count} connections closed or reset right after their request, or before it`,
    full: 20_000,
    short: 300,
    verdicts: ["left"],
    // The bound includes the main thread's heap: each request is a hundred objects.
    memoryMiB: 2 * COMMON_GROWTH_MIB,
    run: ({ port, count }) =>
      crowd(count, 32, async (index) => {
        const peer = await Peer.dial(port);
        if (index % 4 === 1) await peer.write(upgradeRequest());
        if (index % 4 === 2) {
          await peer.write(Buffer.concat([Buffer.from(upgradeRequest()), text("echo"), close(1000)]));
          peer.socket.end();
        }
        if (index % 4 === 3) {
          await peer.write(upgradeRequest().slice(0, 40));
          peer.socket.end();
        }
        // A peer that ended its side in order waits until the server ends its side, too.
        if (index % 4 >= 2) await peer.verdict();
        return peer.leave("left");
      }),
  },
];
