/** Backends in PHP and Python use the API of a real server, and official clients hear them. */
import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import { run } from "../../e2e/support/process.ts";
import { isMissing, succeeds } from "../../e2e/support/programs.ts";
import { API_KEY, SECRET, startTestServer } from "../support/server.ts";
import { connected, listen } from "./clients.ts";

const file = (name: string) => fileURLToPath(new URL(`./backends/${name}`, import.meta.url));

const backends = [
  { name: "PHP", program: "php", file: file("backend.php"), remedy: "apt-get install php-cli" },
  { name: "Python", program: "python3", file: file("backend.py"), remedy: "apt-get install python3" },
];

const OPTIONS = { presence: true, history_size: 100, history_ttl: "300s", allow_subscribe_for_client: true };

describe.each(backends)("a backend in $name", ({ program, file, remedy }) => {
  async function start() {
    const server = await startTestServer({
      client: { token: { hmac_secret_key: SECRET } },
      http_api: { key: API_KEY },
      channel: { without_namespace: OPTIONS },
    });
    const ask = async (action: string, ...more: string[]) => {
      const { stdout } = await run(program, [file, `${server.url}/api`, API_KEY, action, ...more]);
      return JSON.parse(stdout);
    };
    return { ...server, ask };
  }

  const missing = isMissing(program, succeeds(program, "--version"), remedy);

  it.skipIf(missing)("gives tokens, publishes, reads, and disconnects a user", async () => {
    const { url, ask } = await start();
    const client = await connected(url, { token: await ask("token", SECRET) });
    const [news, talks] = [await listen(client, "news"), await listen(client, "talks")];

    const [first, once, again, broadcast, batch] = await ask("publish");
    expect(first).toEqual({ result: { offset: 1, epoch: expect.any(String) } });
    expect(once.result.offset).toBe(2);
    expect(again).toEqual(once);
    expect(broadcast.result.responses).toMatchObject([
      { result: { offset: 3 } },
      { result: { offset: 1 } },
      { error: { code: 102, message: "unknown channel" } },
    ]);
    expect(batch.replies).toMatchObject([
      { publish: { offset: 2 } },
      { publish: { offset: 3 } },
      { presence_stats: { num_clients: 1, num_users: 1 } },
    ]);
    await vi.waitFor(() => expect([news.length, talks.length]).toEqual([3, 3]));
    // JavaScript rounds the integer; the bytes on the wire are those of the backend.
    expect(news).toEqual([{ text: "Grüße 😀", big: Number("9007199254740993") }, "once", { to: "all" }]);
    expect(talks).toEqual([{ to: "all" }, 1, 2]);

    const [presence, stats, history, info] = await ask("read");
    expect(Object.values(presence.result.presence)).toMatchObject([{ user: "42", conn_info: { name: "Ada" } }]);
    expect(stats).toEqual({ result: { num_clients: 1, num_users: 1 } });
    expect(history.result).toMatchObject({ offset: 3, publications: [{ offset: 1 }, { offset: 2 }, { offset: 3 }] });
    expect(info.result.nodes).toMatchObject([{ num_clients: 1, num_users: 1, num_channels: 2, num_subs: 2 }]);

    const disconnected = new Promise((resolve) => client.once("disconnected", resolve));
    expect(await ask("disconnect")).toEqual({ result: {} });
    expect(await disconnected).toEqual({ code: 4500, reason: "banned" });
  });

  it.skipIf(missing)("is told what is wrong with a request", async () => {
    const { ask } = await start();
    expect(await ask("wrong")).toMatchObject([
      { error: { code: 107, message: expect.stringContaining("data") } },
      { error: { code: 102, message: "unknown channel" } },
    ]);
  });
});
