import { Buffer } from "node:buffer";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { expect, it, onTestFinished, vi } from "vitest";
import { checkListenOptions } from "../../../../src/board/switchboard/options/listen-options.ts";
import { checkTlsOptions } from "../../../../src/board/switchboard/options/tls-options.ts";
import { type ListenOptions, type StartOptions, Switchboard, type TlsOptions } from "../../../../src/index.ts";
import { actorUrl, startBoard } from "../../../support/board.ts";
import { createCertificate } from "../../../support/certificate.ts";
import { RawClient } from "../../../support/raw-client.ts";

const { key, cert } = createCertificate("localhost");
const other = createCertificate("other");

const error = (code: string, message: string) =>
  expect.objectContaining({ name: "SwitchboardError", code, message: expect.stringContaining(message) });

it.each<{ name: string; tls: TlsOptions }>([
  { name: "text", tls: { key, cert } },
  { name: "bytes", tls: { key: Buffer.from(key), cert: new Uint8Array(Buffer.from(cert)) } },
  { name: "lists", tls: { key: [key], cert: [cert], ca: [cert, Buffer.from(other.cert)] } },
  {
    name: "every option",
    tls: { key, cert, ca: cert, minVersion: "TLSv1.2", maxVersion: "TLSv1.3", requestCert: true },
  },
  { name: "server names", tls: { key, cert, servers: { "other.test": other, "*.test": { key, cert } } } },
])("accepts $name, and turns it into plain data", ({ tls }) => {
  const checked = checkTlsOptions("listen", tls);
  expect(structuredClone(checked)).toEqual(checked);
  expect(checked.ticketKeys).toHaveLength(48);
});

it("gives bytes a memory of their own, so that no neighbouring bytes are cloned", () => {
  const { key: copy } = checkTlsOptions("listen", { key: Buffer.from(key), cert });
  expect((copy as Uint8Array).buffer.byteLength).toBe(key.length);
});

it.each([
  { name: "no key", tls: { cert }, code: "ERR_OPTION", message: "listen: tls: key is missing" },
  { name: "no certificate", tls: { key }, code: "ERR_OPTION", message: "listen: tls: cert is missing" },
  { name: "an unknown option", tls: { key, cert, pfx: "" }, code: "ERR_OPTION", message: 'unknown option "pfx"' },
  { name: "an invalid key", tls: { key: "no key", cert }, code: "ERR_TLS", message: "listen: tls can't be used" },
  { name: "a key of another certificate", tls: { key, cert: other.cert }, code: "ERR_TLS", message: "mismatch" },
  { name: "an unknown version", tls: { key, cert, minVersion: "TLSv9" }, code: "ERR_TLS", message: "TLSv9" },
  {
    name: "a server name with a key of another certificate",
    tls: { key, cert, servers: { "a.test": { key, cert: other.cert } } },
    code: "ERR_TLS",
    message: 'listen: tls.servers["a.test"] can\'t be used',
  },
  {
    name: "a server name without a key",
    tls: { key, cert, servers: { "a.test": { cert } } },
    code: "ERR_OPTION",
    message: 'listen: tls.servers["a.test"]: key is missing',
  },
])("refuses $name and names the fault", ({ tls, code, message }) => {
  expect(() => checkListenOptions({ port: 0, tls: tls as unknown as TlsOptions })).toThrow(error(code, message));
});

it.each<{ name: string; options: Partial<ListenOptions>; message: string }>([
  {
    name: "authorize with the handshake in the shards",
    options: { handshake: "shard", authorize: () => ({ session: 1 }) },
    message: "export authorize from the actor module",
  },
  {
    name: "authorize with tls",
    options: { tls: { key, cert }, authorize: () => ({ session: 1 }) },
    message: "export authorize from the actor module",
  },
  {
    name: "tls in the main thread",
    options: { tls: { key, cert }, handshake: "main" },
    message: "the shards do TLS and the handshake",
  },
  {
    name: "an unknown place for the handshake",
    options: { handshake: "elsewhere" as "main" },
    message: 'handshake takes "main" or "shard"',
  },
  { name: "tls that isn't an object", options: { tls: null as unknown as TlsOptions }, message: "tls takes an object" },
])("refuses $name, and names the alternative", async ({ options, message }) => {
  expect(() => checkListenOptions({ port: 0, ...options })).toThrow(error("ERR_OPTION", message));
  const { board } = await startBoard();
  await expect(board.listen({ port: 0, ...options })).rejects.toEqual(error("ERR_OPTION", message));
});

it("does the handshake wherever possible by default, in the shards with tls, and in the main thread with authorize", () => {
  expect(checkListenOptions({ port: 0 })).toMatchObject({ handshake: "any", shard: {} });
  expect(checkListenOptions({ port: 0, handshake: "main" })).toMatchObject({ handshake: "main" });
  expect(checkListenOptions({ port: 0, handshake: "main" }).shard).toBeUndefined();
  const authorize = () => ({ session: undefined });
  expect(checkListenOptions({ port: 0, authorize })).toMatchObject({ handshake: "main", route: { authorize } });
  const told = checkListenOptions({ port: 0, handshake: "shard", path: "/a" });
  expect(told).toMatchObject({ handshake: "shard", accept: "main" });
  expect(told.shard).toEqual({ route: { path: "/a", handshakeTimeoutMs: 10_000 } });
  const secure = checkListenOptions({ port: 0, tls: { key, cert } });
  expect(secure).toMatchObject({ handshake: "shard", shard: { tls: { key, cert } } });
});

it.each<{ name: string; options: Partial<StartOptions>; where: "shard" | "main" }>([
  { name: "no obstacle", options: {}, where: "shard" },
  { name: "a placement that doesn't need the request", options: { placement: "roundRobin" }, where: "shard" },
  { name: "a placement by the request", options: { placement: { stickyBy: () => "one" } }, where: "main" },
  { name: "a limit", options: { maxConnections: 10 }, where: "main" },
  { name: "sockets that don't move", options: { sockets: "relay" }, where: "main" },
])("with $name the handshake is done in the $where", async ({ options, where }) => {
  const board = await Switchboard.start({ actor: actorUrl("echo"), shards: 1, ...options });
  onTestFinished(async () => void (await board.close({ timeoutMs: 0 })));
  const { port } = await board.listen({ port: 0, host: "127.0.0.1" });
  // A thread counts only its own certificates.
  let here = 0;
  const listener = () => void here++;
  subscribe("switchboard:upgrade", listener);
  onTestFinished(() => void unsubscribe("switchboard:upgrade", listener));
  await RawClient.open({ port });
  await vi.waitFor(() => expect(board.stats().upgrades.accepted).toBe(1));
  expect(here).toBe(where === "main" ? 1 : 0);
});

it("replaces TLS options only of ports with TLS, and only by valid ones", async () => {
  const { board, port } = await startBoard({ attach: { tls: { key, cert } } });
  const plain = await board.listen({ port: 0, host: "127.0.0.1", handshake: "shard" });
  for (const none of [plain.port, 1]) {
    expect(() => board.updateTls(none, { key, cert })).toThrow(error("ERR_NO_TLS_PORT", `port ${none}`));
  }
  expect(() => board.updateTls(port, { key, cert: other.cert })).toThrow(
    error("ERR_TLS", "updateTls: tls can't be used"),
  );
  board.updateTls(port, other);
});

it("rejects when the port is in use, and can listen on other ports", async () => {
  const { board, port } = await startBoard({ attach: { handshake: "shard" } });
  await expect(board.listen({ port, host: "127.0.0.1", handshake: "shard" })).rejects.toMatchObject({
    code: "EADDRINUSE",
  });
  await expect(board.listen({ port: 0, host: "127.0.0.1", handshake: "shard" })).resolves.toHaveProperty("port");
});

it("rejects start when the actor module's authorize isn't a function", async () => {
  const actor = new URL("../../../support/actors/invalid-authorize.ts", import.meta.url);
  await expect(startBoard({ actor })).rejects.toEqual(
    error("ERR_AUTHORIZE_EXPORT", "exports an authorize that is no function"),
  );
});
