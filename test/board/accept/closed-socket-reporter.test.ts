import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { ClosedSocketReporter } from "../../../src/board/accept/closed-socket-reporter.ts";
import { Counters } from "../../../src/runtime/stats/counters.ts";

function setUp() {
  const counters = new Counters();
  const reported: (readonly string[])[] = [];
  const reporter = new ClosedSocketReporter(counters, (addresses) => reported.push(addresses));
  return { counters, reported, reporter };
}

it("counts each closed socket, and reports nothing if addresses aren't counted", async () => {
  const { counters, reported, reporter } = setUp();
  const socket = {};
  reporter.arrived(socket, undefined);
  reporter.left(socket);
  reporter.left({});
  await turn();
  expect(counters.get("departed")).toBe(2);
  expect(reported).toEqual([]);
});

it("reports the addresses of all sockets closed in a turn together, in order, one for each socket", async () => {
  const { reported, reporter } = setUp();
  const sockets = ["a", "b", "a"].map((address) => ({ address }));
  for (const socket of sockets) reporter.arrived(socket, socket.address);
  for (const socket of sockets) reporter.left(socket);
  expect(reported).toEqual([]);
  await turn();
  expect(reported).toEqual([["a", "b", "a"]]);
});

it("reports those of a later turn separately", async () => {
  const { reported, reporter } = setUp();
  for (const address of ["a", "b"]) {
    const socket = {};
    reporter.arrived(socket, address);
    reporter.left(socket);
    await turn();
  }
  expect(reported).toEqual([["a"], ["b"]]);
});

it("reports an address once, however often its socket is said to be closed", async () => {
  const { reported, reporter } = setUp();
  const socket = {};
  reporter.arrived(socket, "a");
  reporter.left(socket);
  reporter.left(socket);
  await turn();
  expect(reported).toEqual([["a"]]);
});

it("knows the address of a socket until it is forgotten, and then reports none", async () => {
  const { reported, reporter } = setUp();
  const [socket, connection] = [{}, {}];
  reporter.arrived(socket, "a");
  expect(reporter.clientKeyOf(socket)).toBe("a");
  reporter.arrived(connection, reporter.clientKeyOf(socket));
  reporter.forget(socket);
  expect(reporter.clientKeyOf(socket)).toBeUndefined();
  reporter.left(socket);
  await turn();
  expect(reported).toEqual([]);
  reporter.left(connection);
  await turn();
  expect(reported).toEqual([["a"]]);
});
