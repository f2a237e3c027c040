/** Boards that are taken over by other processes, with clients that know nothing of it and check every byte. */
import { describe, expect, it, onTestFinished } from "vitest";
import { whyNoPassing } from "../../../src/wire/native/pass-descriptors.ts";
import { CountedClient, type CountedOptions } from "../../support/counted-client.ts";
import { ServerProcess, takeoverPath } from "./server-process.ts";

async function openClients(count: number, options: CountedOptions): Promise<CountedClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => CountedClient.open(options)));
  onTestFinished(() => {
    for (const { socket } of clients) socket.destroy();
  });
  await allAnswered(clients);
  return clients;
}

/** Resolves when each client has had another answer. */
async function allAnswered(clients: readonly CountedClient[]): Promise<void> {
  const before = clients.map(({ answers }) => answers);
  for (const [index, client] of clients.entries()) {
    while (client.answers === before[index] && client.errors.length === 0) {
      await new Promise((resolve) => client.socket.once("data", resolve));
    }
  }
}

async function expectAllRight(clients: readonly CountedClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.stop()));
  expect(clients.flatMap(({ errors }) => errors)).toEqual([]);
}

describe.skipIf(whyNoPassing() !== undefined)("a board with the option takeover", () => {
  it.each([
    { way: "accepts in the main thread", listen: [{}] },
    { way: "does handshakes in the main thread", listen: [{ handshake: "main" }] },
    { way: "accepts in the shards", listen: [{ accept: "shard" }] },
    { way: "has a server of the program's", listen: ["http"] as const },
  ])("gives everything to the next process when it $way", async ({ listen }) => {
    const options = { listen, start: { actor: "counting", takeover: takeoverPath(), shards: 2, warmUp: false } };
    let old = new ServerProcess(options);
    const { ports } = await old.tells("listening");
    const port = ports[0] as number;
    const sizeOf = (number: number): number => 20 + ((number * 7_919) % 20_000);
    const clients = await openClients(20, { port, sizeOf, pieceBytes: 900 });
    for (let version = 2; version <= 3; version++) {
      const next = new ServerProcess(options);
      expect(await next.tells("takenOver")).toMatchObject({ connections: clients.length, predecessorDied: false });
      expect(await next.tells("listening")).toEqual({ event: "listening", ports });
      expect(await old.tells("handedOver")).toMatchObject({ connections: clients.length });
      expect(await old.end()).toEqual({ code: 0, signal: null, stderr: "" });
      await allAnswered(clients);
      clients.push(...(await openClients(2, { port })));
      old = next;
    }
    await expectAllRight(clients);
  });
});
