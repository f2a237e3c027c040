/** All keys of the config file. The names are those of Centrifugo 6 where they mean the same. */
import { type ConfigOf, choice, duration, flag, integer, secret, section, text, texts } from "../description.ts";
import { channel } from "./channel-keys.ts";
import { client } from "./client-keys.ts";
import { disconnectHookKeys, endpointKeys, hookKeys } from "./endpoint-keys.ts";

const port = { least: 0, most: 65_535 };

export const SERVER_KEYS = section("Config of `switchboard serve`", {
  http_server: section("Addresses and ports", {
    address: text("", "Address that clients connect to. Empty: all addresses of the machine"),
    port: integer(8000, "Port that clients connect to. 0: a free one", port),
    internal_address: text("", "Address for `internal_port`. Empty: that of `http_server.address`"),
    internal_port: integer(0, "Port of the API, `/health` and `/metrics`. 0: they are on the port of clients", port),
    trusted_proxies: texts(
      'Proxies in front whose `X-Forwarded-For` tells the address of the client: addresses, networks such as `"10.0.0.0/8"`, and `"unix:"`',
    ),
    tls: section("TLS on the port of clients", {
      enabled: flag(false, "Turns TLS on. Needs `cert_pem` and `key_pem`"),
      cert_pem: text("", "Path of the file with the certificate in PEM"),
      key_pem: text("", "Path of the file with its private key in PEM"),
    }),
  }),
  client,
  channel,
  rpc: section("Calls of methods by clients", {
    proxy: section("The application answers the calls", endpointKeys),
    without_namespace: section("Options of all methods", {
      proxy_enabled: flag(false, "The application answers the calls. Needs `rpc.proxy`"),
    }),
  }),
  hooks: section("What the application is told", {
    secret: secret("Key with which each request is signed (HMAC-SHA256). Empty: not signed"),
    disconnect: section("A client has gone", disconnectHookKeys),
    occupancy: section("The first subscriber of a channel came, or the last one left. Namespaces turn it on", hookKeys),
    cache_miss: section("A client subscribed to a channel without a publication. Namespaces turn it on", hookKeys),
  }),
  http_api: section("The HTTP API for backends", {
    disabled: flag(false, "Turns the API off"),
    key: secret("Key that each request has to give (`X-API-Key`)"),
    insecure: flag(false, "No request needs a key. For development only"),
    loopback_only: flag(
      false,
      "Requests from other machines are refused. True if the server runs without a config file and had to make a key",
    ),
    handler_prefix: text("/api", "Path before the names of methods", "prefix"),
    error_mode: choice(["", "transport"], "", "`transport`: errors are HTTP statuses. Empty: the status is always 200"),
    max_request_body_size: integer(1_048_576, "Largest body of a request, in bytes", { least: 1, most: 2_147_483_647 }),
  }),
  websocket: section("WebSockets", {
    handler_prefix: text("/connection/websocket", "Path of the endpoint", "prefix"),
    message_size_limit: integer(65_536, "Largest message of a client, in bytes", { least: 1, most: 2_147_483_647 }),
    compression: flag(false, "Messages are compressed (permessage-deflate) for clients that offer it"),
  }),
  sse: section("Server-sent events, for networks without WebSockets", {
    enabled: flag(false, "Turns SSE on"),
    handler_prefix: text("/connection/sse", "Path of the endpoint", "prefix"),
  }),
  http_stream: section("HTTP streams, for networks without WebSockets", {
    enabled: flag(false, "Turns HTTP streams on"),
    handler_prefix: text("/connection/http_stream", "Path of the endpoint", "prefix"),
  }),
  emulation: section("What clients with `sse` or `http_stream` send", {
    handler_prefix: text("/emulation", "Path of the endpoint", "prefix"),
  }),
  health: section("Health of the server", {
    enabled: flag(true, "Turns the endpoint on"),
    handler_prefix: text("/health", "Path of the endpoint", "prefix"),
  }),
  prometheus: section("Metrics for Prometheus", {
    enabled: flag(false, "Turns the metrics on. Needs the package `prom-client`"),
    handler_prefix: text("/metrics", "Path of the endpoint", "prefix"),
  }),
  engine: section("Where history and presence of channels are kept", {
    type: choice(
      ["memory", "redis"],
      "memory",
      "`memory`: in this process. `redis`: in Redis, shared by all servers with the same `prefix`. Needs the package `@redis/client`",
    ),
    redis: section("Redis", {
      address: secret("URL (`redis:`, or `rediss:` for TLS), or host and port", "redis", "redis://127.0.0.1:6379"),
      user: text("", "User at the server"),
      password: secret("Password of that user"),
      db: integer(0, "Number of the database", { most: 1_000_000 }),
      prefix: text("switchboard", "Beginning of the names of all keys in Redis", "key prefix"),
    }),
  }),
  shutdown: section("End of the server after SIGTERM or SIGINT", {
    readiness_delay: duration(
      "0",
      "Time for which `/health` answers 503 while clients are still taken, so that a load balancer notices. A part of `timeout`",
    ),
    timeout: duration("30s", "Time after which the server ends even if clients are left"),
    batch_size: integer(1000, "Number of clients that are closed at once", { least: 1 }),
    batch_interval: duration("100ms", "Time between two batches of clients that are closed"),
  }),
  log: section("Logs", {
    level: choice(["none", "error", "warn", "info", "debug"], "info", "How much is logged"),
    format: choice(["json", "text"], "text", "Lines of JSON, or lines for people"),
  }),
  node: section("This server in a cluster", {
    name: text("", "Name of this server for operators. Empty: the host name", "name"),
  }),
  shards: integer(0, "Number of threads with clients. 0: one for each core", { most: 1024 }),
  sockets: choice(
    ["auto", "node", "uring", "relay"],
    "auto",
    "How the threads read and write their clients' sockets. `uring`: by Linux's io_uring, experimental; the server doesn't start where io_uring can't work. `relay`: through the main thread. `node` and `auto`: by Node's sockets",
  ),
  takeover: text(
    "",
    "Path of a Unix socket by which a new process takes over ports and clients from the old one, in a folder of mode 0700. `switchboard run serve` sets the variable. Linux and Node 26.9 or newer; under `switchboard run` also 24.20 or newer. Empty: none",
  ),
});

/** The config as the file has it: names in camel case, durations in ms, defaults filled in. */
export type FileConfig = ConfigOf<typeof SERVER_KEYS>;
export type EndpointFields = ConfigOf<typeof SERVER_KEYS.keys.rpc.keys.proxy>;
export type ChannelFields = FileConfig["channel"]["withoutNamespace"];
