import { MessageChannel } from "node:worker_threads";
import { describe, onTestFinished } from "vitest";
import { RelaySender, receiveRelayed } from "../../src/transport/relay.ts";
import type { Transport } from "../../src/transport/transport.ts";
import {
  openMemoryStreams,
  openTcpSockets,
  openTlsSockets,
  openUnixSockets,
  type StreamPair,
} from "../support/streams.ts";
import { itIsATransport, type TransportFactory } from "./contract.ts";

/** Both ends in this thread: the port in between is real. */
function openRelay(adopt: (transport: Transport, envelope: unknown) => void) {
  const { port1, port2 } = new MessageChannel();
  receiveRelayed(port2, adopt);
  onTestFinished(() => port1.close());
  return { sender: new RelaySender<unknown>(port1), port: port2 };
}

/** The shard's end of a relayed stream. */
function relayed(openStreams: () => Promise<StreamPair>): TransportFactory {
  return async (head = Buffer.alloc(0)) => {
    const { accepted, peer, vanish } = await openStreams();
    const adopted = Promise.withResolvers<Transport>();
    const { sender } = openRelay(adopted.resolve);
    void sender.send(accepted, head, undefined);
    const transport = await adopted.promise;
    onTestFinished(() => transport.destroy());
    return { transport, peer, vanish };
  };
}

describe("a relayed TCP socket", () => itIsATransport(relayed(openTcpSockets)));
describe("a relayed Unix socket", () => itIsATransport(relayed(openUnixSockets)));
describe("a relayed TLS socket", () => itIsATransport(relayed(openTlsSockets)));
describe("a relayed stream in memory", () => itIsATransport(relayed(openMemoryStreams)));
