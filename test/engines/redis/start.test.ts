/** What `start` says of a server that can't be used, of a wrong password, and of commands that its user may not use. */
import { expect, it } from "vitest";
import { freePort } from "../../support/free-port.ts";
import { createRedisNode, startRedisNode } from "../../support/redis-nodes.ts";
import { RedisServer } from "../../support/redis-server.ts";

const SECRET = "s3cr3t";

/** What `start` rejects with, as all that may be logged of it. */
async function refusal(options: Parameters<typeof createRedisNode>[0]): Promise<{ code: unknown; text: string }> {
  const { engine, owner } = await createRedisNode({ connectTimeoutMs: 2_500, ...options });
  const error = await engine.start(owner).then(
    () => new Error("it has started"),
    (reason: Error & { code?: unknown }) => reason,
  );
  const { code, message, stack, cause } = error as Error & { code?: unknown };
  return { code, text: [message, stack, String(cause), JSON.stringify(error)].join("\n") };
}

it("names the address where nobody listens", async () => {
  const port = await freePort();
  const { code, text } = await refusal({ url: `redis://127.0.0.1:${port}` });
  expect(code).toBe("ERR_ENGINE_UNREACHABLE");
  expect(text).toContain(`ECONNREFUSED 127.0.0.1:${port}`);
  expect(text).toContain("Check that it runs");
});

it("says that the password is wrong, and not which it was", async () => {
  const server = await RedisServer.start();
  await server.command("ACL", "SETUSER", "board", "on", ">another", "~*", "&*", "+@all");
  const { code, text } = await refusal({ url: `redis://board:${SECRET}@127.0.0.1:${server.port}` });
  expect(code).toBe("ERR_ENGINE_UNREACHABLE");
  expect(text).toContain("WRONGPASS");
  expect(text).toContain("user is disabled. Check that");
  expect(text).not.toContain(SECRET);
});

it.each([
  { without: "script", says: /'script(?:\|load)?'/i },
  { without: "publish", says: /'publish'/i },
  { without: "rpush", says: /can't run this command|no permissions to run the 'rpush'/ },
  { without: "subscribe", says: /'subscribe'/i },
])("says that its user may not use $without", async ({ without, says }) => {
  const server = await RedisServer.start();
  await server.command("ACL", "SETUSER", "board", "on", `>${SECRET}`, "~*", "&*", "+@all", `-${without}`);
  const { code, text } = await refusal({ url: server.url, username: "board", password: SECRET });
  expect(code).toBe("ERR_ENGINE_UNREACHABLE");
  expect(text).toMatch(says);
  expect(text).not.toContain(SECRET);
});

it("names the sentinels that it has asked", async () => {
  const server = await RedisServer.start();
  const { code, text } = await refusal({ sentinel: { name: "board", nodes: [server.address] } });
  expect(code).toBe("ERR_ENGINE_UNREACHABLE");
  expect(text).toContain("no sentinel names the master");
  expect(text).toContain(String(server.port));
});

it("works with a user, a password and a number of a database", async () => {
  const server = await RedisServer.start();
  const user = ["board", "on", `>${SECRET}`, "~switchboard:*", "resetchannels", "&switchboard:*", "+@all"];
  await server.command("ACL", "SETUSER", ...user);
  const node = await startRedisNode({ url: `redis://board:${SECRET}@127.0.0.1:${server.port}/3` });
  await node.owner.subscribe("t");
  await node.publisher("t").publish(1);
  await server.command("SELECT", "3");
  expect(await server.command("EXISTS", "switchboard:{topic:t}:meta")).toBe(1);
});

it("has nothing to tell before it has started, and can be stopped then", async () => {
  const { engine } = await createRedisNode({ url: `redis://127.0.0.1:${await freePort()}` });
  expect(engine.gauges()).toEqual({});
  await engine.stop();
});
