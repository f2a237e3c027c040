/** A board in a process that may open no more files. The system closes new connections then, and tells nobody. */
import { expect, it } from "vitest";
import { askForWebSocket, LimitedServer, type Way } from "../../../support/limited-server.ts";

const PATIENCE_MS = 20_000;

it.runIf(process.platform === "linux").each(["accept shard", "listen", "attach"] as const)(
  "counts and announces connections that the system closes, and accepts again afterwards (%s)",
  async (way: Way) => {
    const server = await LimitedServer.start(1_000, { way, start: { sockets: "node", warmUp: false } });
    const first = await askForWebSocket(server.port, false, PATIENCE_MS);
    expect(first.outcome).toBe(101);
    server.limit();
    const refused = await askForWebSocket(server.port, false, PATIENCE_MS);
    expect(refused.outcome).toBe("closed");
    expect(await server.tellsFailure()).toBe("acceptFailed ERR_OUT_OF_DESCRIPTORS");
    server.limit(1_000);
    const { stats } = await server.stats();
    expect(stats.shards.reduce((sum, { acceptsFailed }) => sum + acceptsFailed, stats.acceptsFailed)).toBeGreaterThan(
      0,
    );
    const again = await askForWebSocket(server.port, false, PATIENCE_MS);
    expect(again.outcome).toBe(101);
    for (const { socket } of [first, refused, again]) socket.destroy();
  },
);
