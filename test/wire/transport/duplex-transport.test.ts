import { describe, onTestFinished } from "vitest";
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
