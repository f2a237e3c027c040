/** Upgraded streams and reading from them, for the tests of this folder. */
import { once } from "node:events";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import * as consumers from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { Upgraded } from "../../../src/wire/upgrade/upgraded.ts";
import type { RawClient } from "../../support/raw-client.ts";
import { connectPair } from "./loopback.ts";

export const HEAD = "head ";

/** An `Upgraded` whose head is `head`, and its peer over loopback. */
export async function upgradedPair(
  head = HEAD,
): Promise<{ client: RawClient; peer: Socket; server: Socket; upgraded: Upgraded }> {
  const { client, server } = await connectPair();
  const upgraded = new Upgraded(server, Buffer.from(head));
  onTestFinished(() => {
    upgraded.destroy();
  });
  return { client, peer: client.socket, server, upgraded };
}

/** Reads all bytes up to the end, and leaves the writing side open. */
export const buffer = (stream: Duplex): Promise<Buffer> =>
  consumers.buffer(stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>);
export const text = async (stream: Duplex): Promise<string> => (await buffer(stream)).toString();

/** Reads the bytes that are available, and waits for them if there are none. */
export async function next(stream: Duplex): Promise<string> {
  for (;;) {
    const chunk: Buffer | null = stream.read();
    if (chunk !== null) return chunk.toString();
    await once(stream, "readable");
  }
}

/** Reads until the input is at least as long as `expected`, and returns the input. */
export async function nextUntil(stream: Duplex, expected: string): Promise<string> {
  let seen = "";
  while (seen.length < expected.length) seen += await next(stream);
  return seen;
}
