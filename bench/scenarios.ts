/**
 * The scenarios of the suite: the load, the flags of the server, and the variants of each. Used by the planner and the
 * runner.
 */
import type { Metric } from "./results.ts";
import type { Ability } from "./servers.ts";

/** A server as it takes part in a scenario, perhaps with further flags of the load. */
export interface Variant {
  readonly id: string;
  readonly title: string;
  /** Id of the server. */
  readonly server: string;
  /** Further flags of the load. */
  readonly load: readonly string[];
  /** URL path that the load connects to. Default: the server's. */
  readonly path?: string;
}

export interface Scenario {
  readonly id: string;
  readonly title: string;
  /** Heading of the scenario in reports. */
  readonly group: "Echo" | "Fan-out" | "Connections" | "Shards" | "Streams";
  /** Singular noun for the counted unit: "message". */
  readonly unit: string;
  /** The metric that ratios compare. */
  readonly primary: Metric;
  /** Id of the variant that the others are compared with. */
  readonly reference: string;
  /** Flags of the server. */
  readonly server: readonly string[];
  /** The program that makes the load: `switchboard bench`, or the file of this name in `loads/`. */
  readonly program: "bench" | "bus" | "isolation" | "stream-publish" | "stream-memory" | "stream-resume";
  /** Flags of the load, except duration and warm-up. */
  readonly load: readonly string[];
  /** Abilities that a server needs. */
  readonly needs: readonly Ability[];
  /** When servers that can only echo take part: always, in a full run or if servers are selected by name, or never. */
  readonly echoOnlyServers: "always" | "full" | "never";
  /** The variants, all of Switchboard. undefined: every server with one thread and the needed abilities. */
  readonly variants: readonly Variant[] | undefined;
  /** Number of load processes, each on a URL path of its own. */
  readonly paths: number;
  /**
   * Cores of the server: one, or all but the load's. On a machine with fewer than four cores "all" includes the load's.
   */
  readonly cores: "one" | "all";
  /** True if the scenario is part of the run without `--full`. */
  readonly quick: boolean;
  /** Factor for the counted time of a run in a process of its own. */
  readonly durationFactor: number;
  /** Number of runs of each variant in a round, each in a fresh process. Not used by scenarios that count in slices. */
  readonly runsPerRound: number;
  /**
   * "uncached": count all CPU since the server listens, without a warm-up and without a cache of compiled code.
   * "cached": the same with Node's cache of compiled code. undefined: after a warm-up.
   */
  readonly cold: "uncached" | "cached" | undefined;
  /**
   * Warm-up, until the engine has compiled the code. Where the scenario counts in slices: CPU of the server, in
   * seconds. Otherwise: time before the counted time, in seconds.
   */
  readonly warmupSeconds: number;
}

const ECHO: Omit<Scenario, "id" | "title" | "load"> = {
  group: "Echo",
  unit: "message",
  primary: "cpuMicros",
  reference: "switchboard",
  server: ["--mode", "echo"],
  program: "bench",
  needs: [],
  echoOnlyServers: "never",
  variants: undefined,
  paths: 1,
  cores: "one",
  quick: false,
  cold: undefined,
  durationFactor: 1,
  runsPerRound: 3,
  warmupSeconds: 3,
};

const SIZES = [
  { bytes: 20, name: "20 B", id: "20" },
  { bytes: 128, name: "128 B", id: "128" },
  { bytes: 4096, name: "4 KiB", id: "4k" },
  { bytes: 65_536, name: "64 KiB", id: "64k" },
];

const echoes = SIZES.flatMap(({ bytes, name, id }) =>
  [false, true].flatMap((text) =>
    [1, 16].map(
      (inflight): Scenario => ({
        ...ECHO,
        id: ["echo", id, ...(inflight === 1 ? [] : [`x${inflight}`]), ...(text ? ["text"] : [])].join("-"),
        title: `Echo ${name}${text ? " text" : ""}, ${inflight} in flight`,
        load: [
          "--connections",
          "100",
          "--bytes",
          String(bytes),
          "--inflight",
          String(inflight),
          ...(text ? ["--text"] : []),
        ],
        needs: [...(bytes > 65_535 ? ["long" as const] : []), ...(text ? ["text" as const] : [])],
        echoOnlyServers: text ? "never" : bytes === 20 && inflight === 1 ? "always" : "full",
        quick: !text && (bytes === 20 || (bytes === 4096 && inflight === 1)),
      }),
    ),
  ),
);

const special: readonly Scenario[] = [
  {
    ...ECHO,
    id: "echo-rate",
    title: "Echo 20 B, open loop: 10,000 a second",
    load: ["--connections", "100", "--bytes", "20", "--rate", "10000"],
  },
  {
    ...ECHO,
    id: "echo-compressed",
    title: "Echo 4 KiB of JSON, compressed",
    server: ["--mode", "echo", "--compress"],
    load: ["--connections", "100", "--bytes", "4096", "--text", "--compress"],
    needs: ["compress"],
  },
  {
    ...ECHO,
    id: "echo-tls",
    title: "Echo 128 B, TLS",
    server: ["--mode", "echo", "--tls"],
    load: ["--connections", "100", "--bytes", "128", "--insecure"],
    needs: ["tls"],
  },
];

const FANOUT = {
  ...ECHO,
  group: "Fan-out" as const,
  unit: "delivery",
  server: ["--mode", "fanout"],
  needs: ["fanout" as const],
  echoOnlyServers: "full" as const,
};

const fanouts: readonly Scenario[] = [
  ...[1, 16].map((inflight) => ({
    ...FANOUT,
    id: inflight === 1 ? "fanout" : `fanout-x${inflight}`,
    title: `Fan-out 64 B to 1,000, ${inflight} in flight`,
    load: ["--scenario", "fanout", "--connections", "1001", "--bytes", "64", "--inflight", String(inflight)],
    quick: true,
  })),
  {
    ...FANOUT,
    id: "fanout-topics",
    title: "Fan-out 64 B, 4 topics of 250",
    load: ["--scenario", "fanout", "--connections", "251", "--bytes", "64", "--inflight", "4"],
    paths: 4,
  },
  {
    ...FANOUT,
    id: "fanout-shards",
    title: "Fan-out 64 B to 1,000, over 2 shards on one core",
    load: ["--scenario", "fanout", "--connections", "1001", "--bytes", "64", "--inflight", "16"],
    variants: [
      { id: "switchboard", title: "1 shard", server: "switchboard", load: [] },
      { id: "switchboard-2", title: "2 shards", server: "switchboard-2", load: [] },
    ],
  },
];

const connections: readonly Scenario[] = [
  {
    ...ECHO,
    group: "Connections",
    id: "storm",
    title: "Connection storm, 50 at a time",
    unit: "connection",
    load: ["--scenario", "storm", "--connections", "50", "--bytes", "20"],
    needs: ["storm"],
    echoOnlyServers: "full",
    quick: true,
    // V8 optimises most functions of a connection while the connections from 16,000 to 20,000 come.
    warmupSeconds: 4,
  },
  ...(["uncached", "cached"] as const).map((cold) => ({
    ...ECHO,
    group: "Connections" as const,
    id: cold === "cached" ? "cached-storm" : "cold-storm",
    title: `Cold storm: the first 8,000 connections${cold === "cached" ? ", with a compile cache" : ""}`,
    unit: "connection",
    load: ["--scenario", "storm", "--connections", "50", "--bytes", "20", "--total", "8000"],
    needs: ["storm" as const],
    echoOnlyServers: "full" as const,
    quick: cold === "uncached",
    cold,
  })),
  {
    ...ECHO,
    group: "Connections",
    id: "idle",
    title: "Idle connections",
    unit: "connection",
    primary: "bytesPerConnection",
    load: ["--scenario", "idle", "--connections", "6000", "--step", "2000"],
    needs: ["idle"],
    runsPerRound: 2,
    echoOnlyServers: "full",
    quick: true,
  },
];

const variant = (id: string, title: string, load: readonly string[], server = "switchboard-2"): Variant => ({
  id,
  title,
  server,
  load,
});

const shards: readonly Scenario[] = [
  {
    ...ECHO,
    group: "Shards",
    id: "busy",
    title: "Echo 20 B after 50 µs of work",
    primary: "perSecond",
    server: ["--mode", "echo", "--busy", "50"],
    load: ["--connections", "20", "--bytes", "20", "--inflight", "8"],
    variants: [variant("one", "1 shard", [], "switchboard"), variant("two", "2 shards", [])],
    reference: "one",
    cores: "all",
    quick: true,
  },
  {
    ...ECHO,
    group: "Shards",
    id: "isolation",
    title: "Echo while an actor works 50 ms at a time",
    primary: "p99Micros",
    server: ["--mode", "isolation", "--busy", "50000"],
    program: "isolation",
    warmupSeconds: 0.6,
    load: [],
    variants: [
      variant("quiet", "no actor works", []),
      variant("other", "on the other shard", ["--burn", "--probe", "other"]),
      variant("same", "on the same shard", ["--burn", "--probe", "same"]),
    ],
    reference: "quiet",
    cores: "all",
    quick: true,
    durationFactor: 1.5,
  },
  {
    ...ECHO,
    group: "Shards",
    id: "bus",
    title: "Publishes 64 B from one shard to a subscriber on another",
    unit: "publish",
    primary: "perSecond",
    server: ["--mode", "bus"],
    program: "bus",
    warmupSeconds: 0.6,
    load: ["--subscribers", "1", "--burst", "4000", "--inflight", "4"],
    variants: [variant("across", "across shards", ["--across"]), variant("within", "within a shard", [])],
    reference: "within",
    cores: "all",
    quick: true,
  },
  {
    ...ECHO,
    group: "Shards",
    id: "bus-delivery",
    title: "Delivery 64 B to 500 subscribers, within a shard and across",
    unit: "delivery",
    server: ["--mode", "bus"],
    program: "bus",
    warmupSeconds: 0.6,
    load: ["--subscribers", "500", "--burst", "16", "--inflight", "2"],
    variants: [variant("across", "across shards", ["--across"]), variant("within", "within a shard", [])],
    reference: "within",
    quick: true,
  },
];

const streams: readonly Scenario[] = [
  ...[1, 16].map((inflight) => ({
    ...FANOUT,
    group: "Streams" as const,
    id: inflight === 1 ? "stream-fanout" : `stream-fanout-x${inflight}`,
    title: `Fan-out 64 B to 1,000, ${inflight} in flight, with and without history`,
    server: ["--mode", "stream-fanout", "--history", "100"],
    load: ["--scenario", "fanout", "--connections", "1001", "--bytes", "64", "--inflight", String(inflight)],
    variants: [
      { ...variant("history", "with history", [], "switchboard"), path: "/stream/0" },
      { ...variant("plain", "without history", [], "switchboard"), path: "/plain/0" },
    ],
    reference: "plain",
  })),
  {
    ...ECHO,
    group: "Streams",
    id: "stream-publish",
    title: "Publishes 100 B to 10,000 streams, all stored",
    unit: "publish",
    primary: "perSecond",
    server: ["--mode", "stream", "--history", "100"],
    program: "stream-publish",
    warmupSeconds: 0.6,
    load: ["--streams", "10000", "--burst", "4000", "--connections", "4"],
    variants: [variant("one", "1 shard", [], "switchboard"), variant("two", "2 shards", [])],
    reference: "two",
    cores: "all",
  },
  {
    ...ECHO,
    group: "Streams",
    id: "stream-memory",
    title: "Memory of 10,000 streams of 100 publications, 100 B each",
    unit: "publication",
    primary: "bytesPerPublication",
    server: ["--mode", "stream", "--history", "100"],
    program: "stream-memory",
    load: ["--streams", "10000", "--publications", "100"],
    variants: [variant("switchboard", "Switchboard", [], "switchboard")],
  },
  {
    ...ECHO,
    group: "Streams",
    id: "stream-resume",
    title: "10,000 clients come back at once, each 50 publications of 100 B behind",
    unit: "connection",
    server: ["--mode", "stream", "--history", "100"],
    program: "stream-resume",
    warmupSeconds: 0.6,
    load: ["--clients", "10000", "--streams", "100"],
    variants: [
      variant("behind", "each 50 behind", ["--missed", "50"], "switchboard"),
      variant("new", "without a position", [], "switchboard"),
    ],
    reference: "new",
  },
];

export const SCENARIOS: readonly Scenario[] = [
  ...echoes,
  ...special,
  ...fanouts,
  ...connections,
  ...shards,
  ...streams,
];
