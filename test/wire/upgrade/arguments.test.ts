import { EventEmitter } from "node:events";
import { createServer, IncomingMessage } from "node:http";
import { createServer as createNetServer, Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { describe, expect, it } from "vitest";
import { createMetrics } from "../../../src/board/metrics/index.ts";
import { Switchboard } from "../../../src/index.ts";
import { answerUpgrade, onUpgrade, serveUpgrades } from "../../../src/wire/upgrade/index.ts";
import { upgradeConnection } from "../../../src/wire/websocket/index.ts";
import { startBoard } from "../../support/board.ts";

/** As much of a Koa app as distinguishes it from other values. */
class App extends EventEmitter {
  use(): this {
    return this;
  }
  callback(): () => void {
    return () => {};
  }
}

const notServers: readonly (readonly [name: string, value: unknown, advice: string])[] = [
  ["undefined", undefined, "createServer(app)"],
  ["null", null, "createServer(app)"],
  ["an Express app", express(), "app.listen()"],
  ["a Fastify instance", fastify(), "app.server"],
  ["a Koa app", new App(), "createServer(app.callback())"],
  ["a Hono app", new Hono(), "@hono/node-server"],
  ["a server of node:net", createNetServer(), "node:net or node:tls"],
  ["a server of node:tls", createTlsServer(), "node:net or node:tls"],
  ["an object with a server", { httpServer: createServer() }, "property httpServer"],
  ["a request listener", () => {}, "http.createServer(handler)"],
  ["a promise of a server", Promise.resolve(createServer()), "await it"],
  ["a port", 8080, "a number"],
  ["an options object", { path: "/ws" }, "an object of Object"],
];

describe("a value that isn't a server", () => {
  it.each(notServers)("is refused with advice on what to pass instead: %s", async (name, value, advice) => {
    const { board } = await startBoard();
    const error = expect.objectContaining({ code: "ERR_ARGUMENT", message: expect.stringContaining(advice) });
    expect(() => board.attach(value as never)).toThrow(error);
    expect(() => serveUpgrades(value as never, () => ({ status: 400 }))).toThrow(error);
    if (name !== "a server of node:net" && name !== "a server of node:tls") {
      await expect(board.listen(value as never, { port: 0 })).rejects.toEqual(error);
    }
  });
});

const request = new IncomingMessage(new Socket());
request.method = "GET";
const head = Buffer.alloc(0);

const notUpgrades: readonly (readonly [name: string, values: readonly unknown[], says: string])[] = [
  ["nothing", [], "the first is no request"],
  [
    "a socket first",
    [new Socket(), request, head],
    "the first is no request of a node:http server but an object of Socket",
  ],
  ["no socket", [request, undefined, head], "the second is no socket but undefined"],
  ["no head", [request, new Socket()], "the third is no Buffer but undefined"],
  ["a string as head", [request, new Socket(), ""], "the third is no Buffer but a string"],
];

describe("arguments that aren't those of an upgrade event", () => {
  it.each(notUpgrades)("are refused with the reason: %s", async (_name, values, says) => {
    const { board } = await startBoard();
    const error = { code: "ERR_ARGUMENT", message: expect.stringContaining(says) };
    const [first, second, third] = values as [never, never, never];
    expect(() => board.handleUpgrade(first, second, third)).toThrow(expect.objectContaining(error));
    await expect(answerUpgrade(first, second, third, () => ({ status: 400 }))).rejects.toMatchObject(error);
  });
});

it("accepts only functions as services, requests as requests and boards as boards", async () => {
  const misuse = expect.objectContaining({ code: "ERR_ARGUMENT" });
  expect(() => serveUpgrades(createServer(), undefined as never)).toThrow(misuse);
  expect(() => upgradeConnection(undefined as never)).toThrow(misuse);
  expect(() => upgradeConnection({} as never)).toThrow(misuse);
  expect(() => createMetrics(undefined as never)).toThrow(misuse);
  expect(() => createMetrics({} as never)).toThrow(misuse);
  await expect(onUpgrade(undefined as never)).rejects.toEqual(misuse);
  expect(() => Reflect.construct(Switchboard, [{ actor: "chat.js" }])).toThrow(misuse);
});

it("says which request to pass in place of a web Request", async () => {
  const { board } = await startBoard();
  const web = new Request("http://localhost/") as never;
  const error = expect.objectContaining({ code: "ERR_ARGUMENT", message: expect.stringContaining("c.env.incoming") });
  expect(() => board.handleUpgrade(web, new Socket(), head)).toThrow(error);
  expect(() => upgradeConnection(web)).toThrow(error);
  await expect(onUpgrade(web)).rejects.toEqual(error);
});
