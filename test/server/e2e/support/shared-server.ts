/** A server for all tests of a file, and requests to its API. */
import { afterAll, beforeAll } from "vitest";
import { API_KEY, INSECURE, launchTestServer, type TestServer } from "../../support/server.ts";

export class SharedServer {
  #server: TestServer | undefined;

  /** Starts the server before the tests of the file, and closes it after them. */
  constructor(file: object = INSECURE, shards = 2) {
    beforeAll(async () => {
      this.#server = await launchTestServer(file, shards);
    });
    afterAll(() => this.#server?.close());
  }

  get server(): TestServer {
    if (this.#server === undefined) throw new Error("the server hasn't started yet");
    return this.#server;
  }

  get url(): string {
    return this.server.url;
  }

  /** Calls the API. Returns the result; throws on an error. */
  api(method: string, body: object): Promise<Readonly<Record<string, unknown>>> {
    return callApi(this.url, method, body);
  }

  /** Publishes each of the values, one after the other. */
  publish(channel: string, ...values: readonly unknown[]): Promise<void> {
    return publishAll(this.url, channel, values);
  }
}

export async function callApi(url: string, method: string, body: object): Promise<Readonly<Record<string, unknown>>> {
  const headers = { "X-API-Key": API_KEY };
  const response = await fetch(`${url}/api/${method}`, { method: "POST", headers, body: JSON.stringify(body) });
  const { result, error } = (await response.json()) as { result?: Record<string, unknown>; error?: object };
  if (result === undefined) throw new Error(`${method} failed: ${JSON.stringify(error)}`);
  return result;
}

export async function publishAll(url: string, channel: string, values: readonly unknown[]): Promise<void> {
  for (const data of values) await callApi(url, "publish", { channel, data });
}

let channels = 0;

/** Returns the name of a channel that no other test of the file uses. */
export function freshChannel(namespace = ""): string {
  channels++;
  return `${namespace === "" ? "" : `${namespace}:`}channel-${channels}`;
}
