import { connect } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { CountedClient } from "../../support/counted-client.ts";
import { LimitedServer } from "../../support/limited-server.ts";

/** Limit of open files of the server. */
const LIMIT = 100;
const PATIENCE = { timeout: 20_000 };

it.runIf(process.platform === "linux")(
  "leaves connections where they are while no descriptor is left, and moves them afterwards",
  async () => {
    const server = await LimitedServer.start(LIMIT, { way: "attach", actor: "counting" });
    const { port } = server;
    const clients = await Promise.all(Array.from({ length: 20 }, () => CountedClient.open({ port })));
    await vi.waitFor(() => expect(Math.min(...clients.map(({ answers }) => answers))).toBeGreaterThan(0), PATIENCE);
    expect(await server.evacuate()).toEqual({ moved: 10, stayed: {} });
    const before = server.descriptors;

    // HTTP connections that send nothing take all descriptors that are left.
    const fillers = Array.from({ length: LIMIT }, () => connect({ port, host: "127.0.0.1" }).on("error", () => {}));
    onTestFinished(() => {
      for (const filler of fillers) filler.destroy();
    });
    // The server closes at once those for which it has none.
    await Promise.race(fillers.map((filler) => new Promise((resolve) => filler.once("close", resolve))));
    expect(await server.evacuate()).toEqual({ moved: 0, stayed: { shard: 20 } });
    const answers = clients.map((client) => client.answers);
    await vi.waitFor(
      () => expect(clients.every((client, index) => client.answers > (answers[index] as number))).toBe(true),
      PATIENCE,
    );

    for (const filler of fillers) filler.destroy();
    await vi.waitFor(() => expect(server.descriptors).toBeLessThanOrEqual(before), PATIENCE);
    expect(await server.evacuate()).toEqual({ moved: 20, stayed: {} });
    await Promise.all(clients.map((client) => client.stop()));
    expect(clients.flatMap(({ errors }) => errors)).toEqual([]);
  },
);
