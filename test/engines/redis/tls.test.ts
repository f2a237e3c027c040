/** TLS to a real server: with its CA, without it, with a wrong one, and with certificates of clients. */
import { expect, it } from "vitest";
import { createCertificate, selfSigned } from "../../support/certificate.ts";
import { createRedisNode, startRedisNode } from "../../support/redis-nodes.ts";
import { RedisServer } from "../../support/redis-server.ts";

type Options = Parameters<typeof createRedisNode>[0];

/** Publishes from one node to another, and reads what was stored. */
async function expectToWork(options: Options): Promise<void> {
  const [here, there] = [await startRedisNode(options), await startRedisNode(options)];
  await there.owner.subscribe("t");
  await here.publisher("t").publish(3);
  await expect.poll(() => there.owner.texts("t")).toHaveLength(3);
}

/** Returns what `start` rejects with. */
async function refusal(options: Options): Promise<{ code?: string; message: string }> {
  const { engine, owner } = await createRedisNode({ connectTimeoutMs: 2_500, ...options });
  return engine.start(owner).then(
    () => new Error("it has started"),
    (error: Error) => error,
  );
}

it("works over TLS with the CA of the server", async () => {
  const { cert } = selfSigned();
  const { url } = await RedisServer.start({ certificate: selfSigned() });
  await expectToWork({ url, tls: { ca: cert } });
});

it("works by the name in the certificate, where the address is another", async () => {
  const { cert } = selfSigned();
  const { address } = await RedisServer.start({ certificate: selfSigned() });
  // 127.0.0.2 isn't in the certificate.
  const url = `rediss://127.0.0.2:${address.port}`;
  expect((await refusal({ url, tls: { ca: cert } })).message).toContain("127.0.0.2 is not in the cert's list");
  await expectToWork({ url, tls: { ca: cert, servername: "localhost" } });
});

it("presents its own certificate to a server that asks for one", async () => {
  const { cert, key } = selfSigned();
  const { url } = await RedisServer.start({ certificate: selfSigned(), config: { "tls-auth-clients": "yes" } });
  const { code, message } = await refusal({ url, tls: { ca: cert } });
  expect(code).toBe("ERR_ENGINE_UNREACHABLE");
  // The server may close the connection before its alert is read.
  expect(message).toMatch(/alert certificate required|closed|ECONNRESET|EPIPE/);
  await expectToWork({ url, tls: { ca: cert, cert, key } });
});

it.each([
  { how: "without a CA", tls: undefined, says: "self-signed certificate" },
  { how: "with another CA", tls: { ca: createCertificate().cert }, says: "self-signed certificate" },
])("says what is wrong with the certificate $how", async ({ tls, says }) => {
  const { url, port } = await RedisServer.start({ certificate: selfSigned() });
  const { code, message } = await refusal({ url, ...(tls && { tls }) });
  expect(code).toBe("ERR_ENGINE_UNREACHABLE");
  expect(message).toContain(says);
  expect(message).toContain(`127.0.0.1:${port}`);
  expect(message).toContain("its address, user, password and TLS");
});

it.each([
  { how: "TLS to a server that has none", certificate: undefined, scheme: "rediss" },
  { how: "no TLS to a server that takes nothing else", certificate: selfSigned(), scheme: "redis" },
])("rejects within its time with $how", async ({ certificate, scheme }) => {
  const { port } = await RedisServer.start({ ...(certificate && { certificate }) });
  const { code, message } = await refusal({ url: `${scheme}://127.0.0.1:${port}` });
  expect(code).toBe("ERR_ENGINE_UNREACHABLE");
  expect(message).toContain(`127.0.0.1:${port}`);
});
