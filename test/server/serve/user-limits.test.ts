import { Centrifuge } from "centrifuge";
import { expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import { issueToken } from "../../../src/server/auth/issue-token.ts";
import { parseConfig } from "../../../src/server/config/load.ts";
import { RawClient } from "../support/raw-client.ts";
import { API_KEY, SECRET, startTestServer, type TestServer } from "../support/server.ts";

const BASE = { token: { hmac_secret_key: SECRET }, allowed_origins: ["*"] };

function tokenFor(user: string): string {
  const loaded = parseConfig(JSON.stringify({ client: BASE, http_api: { key: API_KEY } }), { file: "test.json" });
  if (loaded.kind === "faults") throw new Error("the config is wrong");
  return issueToken(loaded.config.client.token, { user });
}

/** A client of the user, and the code with which the server closes it. */
async function connect({ ws }: TestServer, user: string) {
  const client = new Centrifuge(ws, { websocket: WebSocket, token: tokenFor(user), minReconnectDelay: 60_000 });
  onTestFinished(() => client.disconnect());
  const closed = new Promise<number>((resolve) => {
    client.on("disconnected", ({ code }) => resolve(code));
  });
  client.connect();
  await client.ready();
  return { client, closed };
}

it("closes the client beyond user_connection_limit in place of letting it in, and nobody else", async () => {
  const server = await startTestServer({ client: { ...BASE, user_connection_limit: 2 }, http_api: { key: API_KEY } });
  const [one, two] = [await connect(server, "ann"), await connect(server, "ann")];
  const other = await connect(server, "bob");
  for (const codec of ["json", "protobuf"] as const) {
    const three = await RawClient.open(server.ws, codec);
    three.send({ id: 1, connect: { token: tokenFor("ann") } });
    expect(await three.closed).toEqual({ code: 3504, reason: "connection limit" });
    expect(three.replies.size).toBe(0);
  }
  for (const { client } of [one, two, other]) expect(client.state).toBe("connected");
  two.client.disconnect();
  await two.closed;
  const ofAnn = { kind: "connections", user: "ann", after: "", limit: 10 };
  const listed = async (): Promise<number> => {
    const answers = await server.board.survey(ofAnn);
    return answers.flatMap((each) => (each.kind === "answered" ? (each.answer as { clients: [] }).clients : [])).length;
  };
  await vi.waitFor(async () => expect(await listed()).toBe(1));
  const four = await connect(server, "ann");
  expect(await listed()).toBe(2);
  expect(four.client.state).toBe("connected");
});

it("lets as many in as may, of clients that come at the same time to different shards", async () => {
  const server = await startTestServer({ client: { ...BASE, user_connection_limit: 3 }, http_api: { key: API_KEY } });
  const clients = await Promise.all(Array.from({ length: 12 }, () => RawClient.open(server.ws)));
  expect(server.board.stats().shards.map(({ connections }) => connections)).toEqual([6, 6]);
  for (const client of clients) client.send({ id: 1, connect: { token: tokenFor("ann") } });
  const ends = clients.map((client) => Promise.race([client.closed, client.until(() => client.replies.has(1))]));
  const refused = (await Promise.all(ends)).filter((end) => end !== undefined);
  expect(refused).toEqual(Array.from({ length: 9 }, () => ({ code: 3504, reason: "connection limit" })));
  const answered = clients.filter(({ replies }) => replies.has(1));
  expect(answered).toHaveLength(3);
  expect(answered.every(({ isClosed }) => !isClosed)).toBe(true);
});

it("keeps only the newest connection of a user where there may be a single one", async () => {
  const personal = { enabled: true, single_connection: true };
  const client = { ...BASE, subscribe_to_user_personal_channel: personal };
  const channel = { without_namespace: { allow_user_limited_channels: true } };
  const server = await startTestServer({ client, channel, http_api: { key: API_KEY } });
  const [one, bob] = [await connect(server, "ann"), await connect(server, "bob")];
  const two = await connect(server, "ann");
  expect(await one.closed).toBe(3503);
  for (const { client: left } of [two, bob]) expect(left.state).toBe("connected");
});
