import { beforeEach, describe, expect, it } from "vitest";
import { Heartbeat } from "../../../src/wire/protocol/heartbeat.ts";

const options = { pingIntervalMs: 25_000, pongTimeoutMs: 10_000 };
const START = 1_000_000;

let heartbeat: Heartbeat;

beforeEach(() => {
  heartbeat = new Heartbeat(options, START);
});

const PING = { verdict: "ping", againInMs: 10_000 };

describe("a peer that is read", () => {
  it("is alive while its silence is shorter than the interval, and is checked again at its end", () => {
    heartbeat.heard(START + 20_000);
    expect(heartbeat.beat(START + 25_000, true)).toEqual({ verdict: "alive", againInMs: 20_000 });
  });

  it("gets a ping after the interval, also when the timer is early by a part of a millisecond", () => {
    expect(heartbeat.beat(START + 24_999.2, true)).toEqual(PING);
  });

  it("is lost when it stays silent after the ping", () => {
    heartbeat.beat(START + 25_000, true);
    expect(heartbeat.beat(START + 35_000, true)).toEqual({ verdict: "lost" });
  });

  it("is alive when it says anything after the ping", () => {
    heartbeat.beat(START + 25_000, true);
    heartbeat.heard(START + 30_000);
    expect(heartbeat.beat(START + 35_000, true)).toEqual({ verdict: "alive", againInMs: 20_000 });
  });
});

it("pings at its interval even if the timeout is longer", () => {
  const patient = new Heartbeat({ pingIntervalMs: 20, pongTimeoutMs: 20_000 }, START);
  expect(patient.beat(START + 20, true)).toEqual({ verdict: "ping", againInMs: 20 });
  patient.heard(START + 21);
  expect(patient.beat(START + 40, true)).toEqual({ verdict: "alive", againInMs: 1 });
  expect(patient.beat(START + 41, true)).toEqual({ verdict: "ping", againInMs: 20 });
  expect(patient.beat(START + 61, true)).toEqual({ verdict: "alive", againInMs: 19_980 });
});

describe("a peer that isn't read", () => {
  it("gets pings however long it is silent, because its silence proves nothing", () => {
    expect(heartbeat.beat(START + 25_000, false)).toEqual(PING);
    expect(heartbeat.beat(START + 35_000, false)).toEqual(PING);
    expect(heartbeat.beat(START + 3_600_000, false)).toEqual(PING);
  });

  it("gets a whole timeout for its answer once it is read again", () => {
    heartbeat.beat(START + 25_000, false);
    heartbeat.heard(START + 26_000);
    expect(heartbeat.beat(START + 35_000, true)).toEqual({ verdict: "alive", againInMs: 16_000 });
  });
});
