/** Payloads that not every client can get, and names that objects have of their own. */
import { createHmac } from "node:crypto";
import { expect, it, onTestFinished } from "vitest";
import { RawClient } from "../support/raw-client.ts";
import { API_KEY, INSECURE, SECRET, startTestServer } from "../support/server.ts";

const BINARY = Uint8Array.of(0xff, 0x00, 0x01);
const BINARY_64 = Buffer.from(BINARY).toString("base64");
const INAPPROPRIATE = { code: 3506, reason: "inappropriate protocol" };

/** A token whose claims are given as text, so that they may have any name. */
function tokenOf(claims: string): string {
  const signed = ['{"alg":"HS256"}', claims].map((part) => Buffer.from(part).toString("base64url")).join(".");
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

async function connected(...args: Parameters<typeof RawClient.connected>): Promise<RawClient> {
  const client = await RawClient.connected(...args);
  onTestFinished(() => client.socket.terminate());
  return client;
}

it("closes a JSON client with 3506 that reads a history with binary data, and only that client", async () => {
  const server = await startTestServer();
  const binary = await connected(server.ws, "protobuf");
  await binary.call({ publish: { channel: "files", data: BINARY } });
  const json = await connected(server.ws);
  json.send({ id: 50, history: { channel: "files", limit: 10 } });
  expect(await json.closed).toEqual(INAPPROPRIATE);
  expect(json.replies.has(50)).toBe(false);
  const { history } = await binary.call({ history: { channel: "files", limit: 10 } });
  expect(Buffer.from(history.publications[0].data)).toEqual(Buffer.from(BINARY));
});

it.each([["connection data in its token", `{"sub":"a","subs":{"files":{"b64data":"${BINARY_64}"}}}`]])(
  "closes a JSON client with 3506 for binary %s",
  async (_, claims) => {
    const server = await startTestServer();
    const client = await RawClient.open(server.ws);
    client.send({ id: 1, connect: { token: tokenOf(claims) } });
    expect(await client.closed).toEqual(INAPPROPRIATE);
    await connected(server.ws, "protobuf", { token: tokenOf(claims) });
  },
);

it("closes a JSON client with 3506 that the API subscribes with binary data", async () => {
  const server = await startTestServer();
  const client = await connected(server.ws, "json", { token: tokenOf('{"sub":"a"}') });
  const response = await fetch(`${server.url}/api/subscribe`, {
    method: "POST",
    headers: { "X-API-Key": API_KEY },
    body: JSON.stringify({ user: "a", channel: "files", b64data: BINARY_64 }),
  });
  expect(await response.json()).toEqual({ result: {} });
  expect(await client.closed).toEqual(INAPPROPRIATE);
});

it("tells JSON clients the binary info of another client in Base64", async () => {
  const server = await startTestServer();
  const json = await connected(server.ws);
  await json.call({ subscribe: { channel: "room" } });
  const other = await connected(server.ws, "json", { token: tokenOf(`{"sub":"b","b64info":"${BINARY_64}"}`) });
  await other.call({ subscribe: { channel: "room" } });
  await other.call({ publish: { channel: "room", data: 1 } });
  await json.until(() => json.pushes.some(({ pub }) => pub) && json.pushes.some(({ join }) => join?.info.user === "b"));
  expect(json.pushes.find(({ pub }) => pub)?.["pub"].info.conn_info).toBe(BINARY_64);
  const { presence } = await json.call({ presence: { channel: "room" } });
  expect(Object.values(presence.presence)).toContainEqual(expect.objectContaining({ conn_info: BINARY_64 }));
});

it("tells a client of all its server-side subscriptions, whatever their names", async () => {
  const server = await startTestServer({ ...INSECURE });
  const client = await RawClient.open(server.ws);
  onTestFinished(() => client.socket.terminate());
  client.send({ id: 1, connect: { token: tokenOf('{"sub":"a","channels":["__proto__","constructor"]}') } });
  await client.until(() => client.replies.has(1));
  expect(Object.keys(client.replies.get(1)?.["connect"].subs).sort()).toEqual(["__proto__", "constructor"]);
});
