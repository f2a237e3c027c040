import { setImmediate as turn } from "node:timers/promises";
import { expect, it } from "vitest";
import { ClosedSocketReporter } from "../../../src/board/accept/closed-socket-reporter.ts";
import { Counters } from "../../../src/runtime/stats/counters.ts";

function setUp() {
  const counters = new Counters();
  const told: (readonly string[])[] = [];
  const departures = new ClosedSocketReporter(counters, (addresses) => told.push(addresses));
  return { counters, told, departures };
}

it("counts each that leaves, and tells nothing where addresses aren't counted", async () => {
  const { counters, told, departures } = setUp();
  const socket = {};
  departures.arrived(socket, undefined);
  departures.left(socket);
  departures.left({});
  await turn();
  expect(counters.get("departed")).toBe(2);
  expect(told).toEqual([]);
});

it("tells the addresses of all that leave in a turn at once, in order, each as often as it left", async () => {
  const { told, departures } = setUp();
  const sockets = ["a", "b", "a"].map((address) => ({ address }));
  for (const socket of sockets) departures.arrived(socket, socket.address);
  for (const socket of sockets) departures.left(socket);
  expect(told).toEqual([]);
  await turn();
  expect(told).toEqual([["a", "b", "a"]]);
});

it("tells those of a later turn apart", async () => {
  const { told, departures } = setUp();
  for (const address of ["a", "b"]) {
    const socket = {};
    departures.arrived(socket, address);
    departures.left(socket);
    await turn();
  }
  expect(told).toEqual([["a"], ["b"]]);
});

it("tells an address once, however often its socket is said to leave", async () => {
  const { told, departures } = setUp();
  const socket = {};
  departures.arrived(socket, "a");
  departures.left(socket);
  departures.left(socket);
  await turn();
  expect(told).toEqual([["a"]]);
});

it("knows the address of a socket until that is forgotten, and then tells none", async () => {
  const { told, departures } = setUp();
  const [socket, connection] = [{}, {}];
  departures.arrived(socket, "a");
  expect(departures.clientKeyOf(socket)).toBe("a");
  departures.arrived(connection, departures.clientKeyOf(socket));
  departures.forget(socket);
  expect(departures.clientKeyOf(socket)).toBeUndefined();
  departures.left(socket);
  await turn();
  expect(told).toEqual([]);
  departures.left(connection);
  await turn();
  expect(told).toEqual([["a"]]);
});
