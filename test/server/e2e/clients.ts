/** The official client for the tests of whole servers, with what it hears. Each client ends with the test. */
import { Centrifuge, type Options } from "centrifuge";
import { EventSource } from "eventsource";
import { onTestFinished } from "vitest";
import WebSocket from "ws";

export const TRANSPORTS = ["websocket", "sse", "http_stream"] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** Makes a client that isn't connected yet. `url` is that of the server, such as http://127.0.0.1:8000. */
export function newClient(url: string, options: Partial<Options> = {}, transport: Transport = "websocket"): Centrifuge {
  const scheme = transport === "websocket" ? url.replace(/^http/, "ws") : url;
  const client = new Centrifuge([{ transport, endpoint: `${scheme}/connection/${transport}` }], {
    emulationEndpoint: `${url}/emulation`,
    websocket: WebSocket,
    eventsource: EventSource,
    fetch,
    readableStream: ReadableStream,
    minReconnectDelay: 1,
    maxReconnectDelay: 50,
    ...options,
  });
  onTestFinished(() => client.disconnect());
  return client;
}

/** Connects a client, and waits until it is. */
export async function connected(...args: Parameters<typeof newClient>): Promise<Centrifuge> {
  const client = newClient(...args);
  client.connect();
  await client.ready();
  return client;
}

/** Subscribes a client to a channel. Returns the data of what it hears there, in order. */
export async function listen(client: Centrifuge, channel: string): Promise<unknown[]> {
  const heard: unknown[] = [];
  const subscription = client.newSubscription(channel);
  subscription.on("publication", ({ data }) => heard.push(data));
  subscription.subscribe();
  await subscription.ready();
  return heard;
}

/** Calls the API. Returns what it answers. */
export async function callApi(url: string, key: string, method: string, params: object): Promise<Answered> {
  const headers = { "X-API-Key": key };
  const response = await fetch(`${url}/api/${method}`, { method: "POST", headers, body: JSON.stringify(params) });
  return (await response.json()) as Answered;
}

interface Answered {
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly code: number; readonly message: string };
}
