/** Valid opening requests with changes, for tests of handshakes. */
import type { IncomingHttpHeaders } from "node:http";
import type { UpgradeRequest } from "../../../src/wire/handshake/server.ts";

/** A valid request with some headers replaced; undefined removes a header. */
export function request(headers: IncomingHttpHeaders = {}, rest: Partial<UpgradeRequest> = {}): UpgradeRequest {
  return {
    method: "GET",
    httpVersionMajor: 1,
    httpVersionMinor: 1,
    headers: {
      host: "server.example.com",
      upgrade: "websocket",
      connection: "Upgrade",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      "sec-websocket-version": "13",
      ...headers,
    },
    ...rest,
  };
}
