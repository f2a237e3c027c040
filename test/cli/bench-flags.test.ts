import { describe, expect, it } from "vitest";
import { parseBenchFlags } from "../../src/cli/bench-flags.ts";
import { UsageError } from "../../src/cli/usage-error.ts";

const URL = "ws://localhost:8080/chat";

describe("the flags of bench", () => {
  it("have defaults", () => {
    expect(parseBenchFlags([URL])).toEqual({
      json: false,
      slices: false,
      settings: {
        url: URL,
        scenario: "echo",
        connections: 100,
        threads: 1,
        inflight: 1,
        rate: undefined,
        total: undefined,
        bytes: 20,
        text: false,
        duration: 5,
        warmup: 1,
        compress: false,
        insecure: false,
        greeting: 0,
        publishers: 1,
        step: 10,
        headers: [],
      },
    });
  });

  it("are parsed as written", () => {
    const line = `${URL} --scenario fanout --connections 50 --threads 2 --inflight 16 --bytes 128 --text --duration 0.5
      --warmup 0 --compress --insecure --greeting 2 --publishers 3 --step 7 --json`;
    const parsed = parseBenchFlags([...line.split(/\s+/), "--header", "X-One: 1", "--header", "cookie:a=b; c=d"]);
    expect(parsed?.json).toBe(true);
    expect(parsed?.settings).toEqual({
      url: URL,
      scenario: "fanout",
      connections: 50,
      threads: 2,
      inflight: 16,
      rate: undefined,
      total: undefined,
      bytes: 128,
      text: true,
      duration: 0.5,
      warmup: 0,
      compress: true,
      insecure: true,
      greeting: 2,
      publishers: 3,
      step: 7,
      headers: [
        ["X-One", "1"],
        ["cookie", "a=b; c=d"],
      ],
    });
    expect(parseBenchFlags([URL, "--rate", "1e4"])?.settings.rate).toBe(10_000);
    const storm = parseBenchFlags([URL, "--scenario", "storm", "--total", "8000"]);
    expect(storm?.settings).toMatchObject({ total: 8_000, warmup: 0 });
  });

  it("recognise --help", () => {
    expect(parseBenchFlags(["--help"])).toBeUndefined();
  });

  it.each([
    [[], "bench takes the URL of a server, such as ws://localhost:8080/chat"],
    [[URL, URL], `bench takes one URL; ${URL} is one too many`],
    [["http://localhost"], "bench takes a ws: or wss: URL such as ws://localhost:8080/chat, not http://localhost"],
    [[`${URL}#a`], `bench takes a ws: or wss: URL such as ws://localhost:8080/chat, not ${URL}#a`],
    [["localhost:80"], "bench takes a ws: or wss: URL such as ws://localhost:8080/chat, not localhost:80"],
    [[URL, "--fast"], "bench has no flag --fast; switchboard bench --help lists all"],
    [[URL, "-c", "5"], "bench has no flag -c; switchboard bench --help lists all"],
    [[URL, "--rate"], "Option '--rate <value>' argument missing; switchboard bench --help says more"],
    [[URL, "--json=1"], "Option '--json' does not take an argument; switchboard bench --help says more"],
    [[URL, "--connections", "0"], '--connections takes a whole number from 1 to 1000000, not "0"'],
    [[URL, "--connections", "many"], '--connections takes a whole number from 1 to 1000000, not "many"'],
    [[URL, "--bytes", ""], '--bytes takes a whole number from 0 to 67108864, not ""'],
    [[URL, "--bytes", "1.5"], '--bytes takes a whole number from 0 to 67108864, not "1.5"'],
    [[URL, "--duration", "0"], '--duration takes a number from 0.001 to 1000000, not "0"'],
    [[URL, "--scenario", "chat"], "--scenario takes echo, fanout, storm, idle, not chat"],
    [[URL, "--rate", "5", "--inflight", "1"], "write --rate for an open loop or --inflight for a closed one, not both"],
    [[URL, "--rate", "5", "--scenario", "storm"], "--rate is for echo and fanout, not for storm"],
    [[URL, "--total", "5"], "--total is for storm, not for echo"],
    [
      [URL, "--scenario", "storm", "--total", "5", "--warmup", "1"],
      "--total counts all connections: leave out --duration and --warmup",
    ],
    [[URL, "--scenario", "storm", "--total", "2", "--threads", "3"], "--threads takes at most the 2 of --total"],
    [[URL, "--slices", "--warmup", "1"], "--slices end when told to: leave out --warmup"],
    [[URL, "--slices", "--scenario", "idle"], "--slices are for echo, fanout and storm, not for idle"],
    [[URL, "--connections", "2", "--threads", "3"], "--threads takes at most the 2 of --connections"],
    [
      [URL, "--scenario", "fanout", "--connections", "1"],
      "fanout needs --connections of 2 or more: one sends, another receives",
    ],
    [
      [URL, "--scenario", "fanout", "--connections", "2", "--publishers", "3"],
      "--publishers takes at most the 2 of --connections",
    ],
    [[URL, "--scenario", "fanout", "--bytes", "5"], "fanout needs --bytes of 6 or more: a message names its publisher"],
    [
      [URL, "--scenario", "fanout", "--publishers", "100", "--inflight", "65536"],
      "--publishers times --inflight may be at most 1048576",
    ],
    [[URL, "--header", "nothing"], '--header takes "Name: value", not "nothing"'],
    [[URL, "--header", "A: b\r\nC: d"], '--header takes "Name: value", not "A: b\\r\\nC: d"'],
    [[URL, "--header", "Upgrade: h2c"], "--header can't set Upgrade, which the handshake sets"],
  ])("refuse %j in one sentence", (args, message) => {
    expect(() => parseBenchFlags(args)).toThrow(new UsageError(message));
  });
});
