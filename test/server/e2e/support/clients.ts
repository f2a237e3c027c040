/** The official client, in JSON and Protobuf and over each of its transports. Each client ends with the test. */
import { Centrifuge, type Options, type TransportName, UnauthorizedError } from "centrifuge";
import {
  Centrifuge as ProtobufCentrifuge,
  UnauthorizedError as ProtobufUnauthorizedError,
} from "centrifuge/build/protobuf";
import { EventSource } from "eventsource";
import { onTestFinished } from "vitest";
import { WebSocket } from "ws";

/** One way to speak to the server. */
export class Way {
  readonly name: string;
  readonly transport: TransportName;
  readonly format: "json" | "protobuf";

  constructor(transport: TransportName, format: "json" | "protobuf") {
    this.name = `${format} over ${transport}`;
    this.transport = transport;
    this.format = format;
  }

  /** Returns a client that isn't connected. Reconnects and new subscriptions come at once. */
  create(url: string, options: Partial<Options> = {}): Centrifuge {
    const Class = this.format === "json" ? Centrifuge : ProtobufCentrifuge;
    const base = this.transport === "websocket" ? url.replace("http", "ws") : url;
    const endpoint = `${base}/connection/${this.transport}`;
    const client = new Class([{ transport: this.transport, endpoint }], {
      websocket: WebSocket,
      eventsource: EventSource,
      fetch,
      readableStream: ReadableStream,
      emulationEndpoint: `${url}/emulation`,
      minReconnectDelay: 1,
      maxReconnectDelay: 1,
      timeout: 60_000,
      ...options,
    }) as Centrifuge;
    onTestFinished(() => client.disconnect());
    return client;
  }

  /** Returns a client that is connected. */
  async connect(url: string, options: Partial<Options> = {}): Promise<Centrifuge> {
    const client = this.create(url, options);
    client.connect();
    await client.ready();
    return client;
  }

  /** Returns the error by which an application tells the client to give up. Each build knows only its own. */
  unauthorized(): Error {
    return this.format === "json" ? new UnauthorizedError("") : new ProtobufUnauthorizedError("");
  }

  /** Returns a value as this client takes and gives payloads. */
  data(value: unknown): unknown {
    return this.format === "json" ? value : new TextEncoder().encode(JSON.stringify(value));
  }

  /** Returns the value of a payload that this client gave. */
  value(data: unknown): unknown {
    return this.format === "json" ? data : JSON.parse(Buffer.from(data as Uint8Array).toString());
  }
}

export const json = new Way("websocket", "json");
export const protobuf = new Way("websocket", "protobuf");
/** The two codecs over WebSockets. */
export const codecs = [json, protobuf] as const;
/** Every codec over every transport. SSE has text only. */
export const ways = [
  ...codecs,
  new Way("http_stream", "json"),
  new Way("http_stream", "protobuf"),
  new Way("sse", "json"),
] as const;
