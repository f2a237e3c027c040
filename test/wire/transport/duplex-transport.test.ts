import { duplexPair } from "node:stream";
import { describe, expect, it, onTestFinished } from "vitest";
import { DuplexTransport } from "../../../src/wire/transport/duplex-transport.ts";
import {
  openMemoryStreams,
  openTcpSockets,
  openTlsSockets,
  openUnixSockets,
  type StreamPair,
} from "../../support/streams.ts";
import { itIsATransport } from "./contract.ts";
import type { TransportFactory } from "./pair.ts";

function over(openStreams: () => Promise<StreamPair>): TransportFactory {
  return async (head = Buffer.alloc(0)) => {
    const { accepted, peer, vanish } = await openStreams();
    const transport = new DuplexTransport(accepted, head);
    onTestFinished(() => transport.destroy());
    return { transport, peer, vanish };
  };
}

describe("a DuplexTransport over TCP", () => itIsATransport(over(openTcpSockets)));
describe("a DuplexTransport over a Unix socket", () => itIsATransport(over(openUnixSockets)));
describe("a DuplexTransport over TLS", () => itIsATransport(over(openTlsSockets)));
describe("a DuplexTransport in memory", () => itIsATransport(over(openMemoryStreams)));

it("a DuplexTransport tells the address that a stream in memory has", () => {
  const [stream] = duplexPair();
  const transport = new DuplexTransport(stream, Buffer.alloc(0));
  expect(transport.remoteAddress).toBeUndefined();
  Object.assign(stream, { remoteAddress: "192.0.2.1" });
  expect(transport.remoteAddress).toBe("192.0.2.1");
});
