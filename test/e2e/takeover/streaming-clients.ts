/** Clients of a `Streaming` actor in the tests of takeovers, which write down everything that they are told. */
import { once } from "node:events";
import { expect, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";

/** Opens a client, and resolves with everything that it is told. */
async function openClient(port: number): Promise<string[]> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  onTestFinished(() => socket.terminate());
  await once(socket, "open");
  const told: string[] = [];
  const subscribed = Promise.withResolvers<void>();
  socket.on("message", (data) => {
    if (String(data).startsWith("subscribed")) subscribed.resolve();
    else told.push(String(data));
  });
  socket.on("close", (code) => told.push(`closed with ${code}`));
  socket.send("subscribe");
  await subscribed.promise;
  return told;
}

/**
 * Opens a client at each port. Resolves when each has been told of all others; with lists of what comes from then on.
 */
export async function openStreamingClients(ports: readonly number[]): Promise<string[][]> {
  const clients: string[][] = [];
  for (const port of ports) clients.push(await openClient(port));
  // Each is told of those that come after it, on two topics.
  const joins = (told: string[]) => told.filter((one) => one.startsWith("joined")).length;
  const later = clients.map((_, index) => 2 * (clients.length - 1 - index));
  await vi.waitFor(() => expect(clients.map(joins)).toEqual(later), { timeout: 30_000 });
  for (const told of clients) told.length = 0;
  return clients;
}
