/** Checks for leaked sockets and unhandled errors, for the tests of this folder. */
import { readdirSync, readlinkSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Server as NetServer } from "node:net";
import { promisify } from "node:util";
import { beforeEach, expect, onTestFinished, vi } from "vitest";

/** Open sockets of this process. */
function countSockets(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      return false; // The folder listing has closed its own descriptor.
    }
  }).length;
}

/** Makes every test of the file fail if it leaves a socket open, or a rejection or error unhandled. */
export function countLeaks(): void {
  beforeEach((context) => {
    const before = countSockets();
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): void => {
      unhandled.push(reason);
    };
    process.on("unhandledRejection", onUnhandled).on("uncaughtException", onUnhandled);
    // The hook that is registered first runs last.
    context.onTestFinished(async () => {
      await vi.waitFor(() => expect(countSockets()).toBe(before), 5_000);
      process.off("unhandledRejection", onUnhandled).off("uncaughtException", onUnhandled);
      expect(unhandled).toEqual([]);
    });
  });
}

/** Listens on a free port. At the end of the test every connection must have closed by itself. */
export async function listen<S extends NetServer>(server: S, host = "127.0.0.1"): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  onTestFinished(async () => {
    const connections = promisify(server.getConnections.bind(server));
    await vi.waitFor(async () => expect(await connections()).toBe(0), 5_000);
    await promisify(server.close.bind(server))();
  });
  return (server.address() as AddressInfo).port;
}

export async function startHttp(): Promise<{ server: Server; port: number }> {
  const server = createServer();
  return { server, port: await listen(server) };
}
