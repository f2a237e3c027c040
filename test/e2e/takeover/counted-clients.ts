/** Clients of a `Counting` actor in the tests of takeovers. They know nothing of takeovers, and check every byte. */
import { expect, onTestFinished } from "vitest";
import { CountedClient, type CountedOptions } from "../../support/counted-client.ts";

/** Resolves when each client has had an answer. */
export async function openClients(count: number, options: CountedOptions): Promise<CountedClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => CountedClient.open(options)));
  onTestFinished(() => {
    for (const { socket } of clients) socket.destroy();
  });
  await allAnswered(clients);
  return clients;
}

/** Resolves when each client has had another answer. */
export async function allAnswered(clients: readonly CountedClient[]): Promise<void> {
  const before = clients.map(({ answers }) => answers);
  for (const [index, client] of clients.entries()) {
    while (client.answers === before[index] && client.errors.length === 0) {
      await new Promise((resolve) => client.socket.once("data", resolve));
    }
  }
}

/** Stops all clients. */
export async function expectAllRight(clients: readonly CountedClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.stop()));
  expect(clients.flatMap(({ errors }) => errors)).toEqual([]);
}
