import { Actor } from "../../../src/index.ts";

/** Answers each message with its view of the request, in JSON. */
export default class Requesting extends Actor {
  static override readonly requestHeaders = ["User-Agent", "cookie", "x-missing", "user-agent"];

  override received(): void {
    const { url, query, headers, remoteAddress, clientAddress } = this.request;
    this.send(JSON.stringify({ url, query: [...query], headers, remoteAddress, clientAddress }));
  }
}
