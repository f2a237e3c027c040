/** What operators see of clients: counts of what is refused, and lines of the level `debug`. */
import { expect, it, vi } from "vitest";
import { ClientWatch } from "../../../src/server/serve/client-watch.ts";
import { Log } from "../../../src/server/serve/log.ts";
import { token } from "../e2e/support/raw-token.ts";
import { RawClient } from "../support/raw-client.ts";
import { API_KEY, SECRET, startTestServer } from "../support/server.ts";

it("counts refused commands by their reason, also those of tokens", async () => {
  const { ws, url } = await startTestServer(
    {
      client: { token: { hmac_secret_key: SECRET } },
      http_api: { key: API_KEY },
      prometheus: { enabled: true },
      channel: { without_namespace: {} },
    },
    1,
  );
  const outcome = async (connect: object) => {
    const client = await RawClient.open(ws);
    client.send({ id: 1, connect });
    await Promise.race([client.closed, client.until(() => client.replies.has(1))]);
    return client;
  };
  await outcome({ token: token({ sub: "a" }, { key: "another" }) });
  await outcome({ token: token({ sub: "a", exp: 1 }) });
  await outcome({ token: token({ sub: "a".repeat(255) }) });
  await outcome({});
  const client = await outcome({ token: token({ sub: "a" }) });
  await client.call({ subscribe: { channel: "nowhere:a" } });
  await client.call({ subscribe: { channel: "a", token: token({ sub: "b", channel: "a" }) } }).catch(() => {});
  const metrics = (await (await fetch(`${url}/metrics`)).text()).split("\n");
  const count = (command: string, reason: string) =>
    expect(metrics).toContain(`switchboard_server_refused_total{command="${command}",reason="${reason}"} 1`);
  for (const reason of ["invalid_token", "expired_token", "invalid_user", "unauthorized"]) count("connect", reason);
  for (const reason of ["unknown_channel", "foreign_token"]) count("subscribe", reason);
});

it("logs what clients do, and never a token, at the level debug only", () => {
  for (const level of ["debug", "info"] as const) {
    const lines: string[] = [];
    const watch = new ClientWatch(new Log({ level, format: "text" }, (line) => lines.push(line.replace(/^\S+ /, ""))));
    const client = { clientId: "c", user: "42" };
    watch.connected(client);
    watch.subscribed(client, "news");
    watch.refused(client, {
      command: "subscribe",
      channel: "room",
      code: 103,
      message: "permission denied",
      cause: { kind: "invalid_token", detail: "the signature is wrong" },
    });
    watch.refused(client, { command: "rpc", channel: undefined, code: 1234, message: "no", cause: undefined });
    watch.unsubscribed(client, "news");
    watch.disconnected(client, 3005, "connection expired");
    expect([...watch.refusedCounts()]).toEqual([
      ["subscribe", "invalid_token", 1],
      ["rpc", "application", 1],
    ]);
    const expected = [
      'a client has connected client="c" user="42"',
      'a client has subscribed client="c" user="42" channel="news"',
      'a command was refused client="c" user="42" command="subscribe" channel="room" code=103 message="permission denied" cause="the signature is wrong"',
      'a command was refused client="c" user="42" command="rpc" code=1234 message="no"',
      'a client has unsubscribed client="c" user="42" channel="news"',
      'a client has gone client="c" user="42" code=3005 reason="connection expired"',
    ].map((line) => `DEBUG ${line}`);
    expect(lines).toEqual(level === "debug" ? expected : []);
  }
});

it("warns once in a while of an info that is too large for presence", () => {
  const lines: string[] = [];
  const watch = new ClientWatch(new Log({ level: "info", format: "text" }, (line) => lines.push(line)));
  for (let times = 0; times < 3; times++) watch.infoLeftOut({ clientId: "c", user: "42" }, "#42", 5_000);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('client="c" user="42" channel="#42" bytes=5000');
});

it("writes the lines of the shards to the log of the program", async () => {
  const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const { ws } = await startTestServer(
      { client: { insecure: true }, http_api: { key: API_KEY }, log: { level: "debug", format: "json" } },
      1,
    );
    const client = await RawClient.connected(ws);
    await client.call({ subscribe: { channel: "news" } });
    client.socket.close();
    await vi.waitFor(() => {
      const lines = written.mock.calls.map(([line]) => String(line)).join("");
      for (const message of ["connected", "subscribed", "gone"]) expect(lines).toContain(`"a client has ${message}"`);
    });
  } finally {
    written.mockRestore();
  }
});
