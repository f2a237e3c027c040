/** The application as a `Backend`: each question is a POST to the address that the config gives for it. */
import type { Answer, Backend, ClientFacts, Renewal } from "../client/backend.ts";
import type { EndpointConfig, ServerConfig } from "../config/config.ts";
import { ERRORS } from "../protocol/codes.ts";
import { connectReader, readPublishAnswer, readRefreshAnswer, readRpcAnswer, readSubscribeAnswer } from "./answers.ts";
import { Endpoint, type EndpointSnapshot, type Nonsense } from "./endpoint.ts";
import type { HooksLog } from "./endpoint-log.ts";
import { cacheMissEvent, hookBody, hookHeaders } from "./hook-events.ts";
import { type Asked, NOT_JSON, questionBody } from "./request-body.ts";
import { fixedHeaders, RequestHeaders } from "./request-headers.ts";

/** The parts of the server's config that are about questions. */
export interface HttpBackendConfig extends Pick<ServerConfig, "proxy" | "hooks"> {
  readonly client: Pick<ServerConfig["client"], "allowAnonymousConnectWithoutToken" | "insecure">;
}

export interface HttpBackend extends Backend {
  /** Numbers of each endpoint that is enabled, by its name. */
  snapshot(): Record<string, EndpointSnapshot>;
  /** Ends the calls that wait or are under way. */
  close(): void;
}

/** Answer to clients when the application can't be asked or gives no usable answer. */
const INTERNAL_ERROR = { kind: "error", ...ERRORS.internal } as const;

/** Answer to a client whose question can't be passed on. */
const BAD_REQUEST = { kind: "error", ...ERRORS.badRequest } as const;

/** Time in s that a connection or subscription goes on when the application can't be asked whether it may. */
export const GRACE_S = 60;

/** The answers of one endpoint to one kind of question. */
class Asking<Result> {
  readonly #config: EndpointConfig;
  readonly #endpoint: Endpoint;
  readonly #headers: RequestHeaders;
  readonly #known: boolean;
  readonly #read: (body: Buffer) => Answer<Result> | Nonsense;

  constructor(
    config: EndpointConfig,
    name: string,
    endpoint: Endpoint,
    read: (body: Buffer) => Answer<Result> | Nonsense,
    known = true,
  ) {
    this.#config = config;
    this.#endpoint = endpoint;
    this.#headers = new RequestHeaders(config, name);
    this.#known = known;
    this.#read = read;
  }

  async ask(facts: ClientFacts, asked: Asked): Promise<Answer<Result>> {
    const body = questionBody(this.#config, facts, asked, this.#known);
    const headers = this.#headers.of(facts);
    if (body === NOT_JSON || headers === undefined) return BAD_REQUEST;
    return (await this.#endpoint.ask({ body, headers }, this.#read)) ?? INTERNAL_ERROR;
  }
}

/**
 * Makes the backend for one shard. Questions whose endpoint isn't enabled are missing in it. `disconnected` is missing
 * too: the main thread sends notifications (`Hooks`).
 *
 * @throws `ERR_OPTION` if an address or a fixed header is none
 */
export function httpBackend(config: HttpBackendConfig, { log }: { log: HooksLog }): HttpBackend {
  const { proxy, hooks, client } = config;
  const endpoints: Record<string, Endpoint> = {};
  const open = (key: string, name: string, endpointConfig: EndpointConfig, repeatable: boolean): Endpoint => {
    const endpoint = new Endpoint(key, endpointConfig, log, repeatable);
    endpoints[name] = endpoint;
    return endpoint;
  };
  const asking = <Result>(
    name: string,
    key: string,
    endpointConfig: EndpointConfig,
    read: (body: Buffer) => Answer<Result> | Nonsense,
    { repeatable = true, known = true } = {},
  ): Asking<Result> | undefined => {
    if (!endpointConfig.enabled) return undefined;
    return new Asking(endpointConfig, key, open(key, name, endpointConfig, repeatable), read, known);
  };

  const anonymous = client.allowAnonymousConnectWithoutToken || client.insecure;
  const connect = asking("connect", "client.proxy.connect", proxy.connect, connectReader(anonymous), { known: false });
  const refresh = asking("refresh", "client.proxy.refresh", proxy.refresh, readRefreshAnswer);
  const subscribe = asking("subscribe", "channel.proxy.subscribe", proxy.subscribe, readSubscribeAnswer);
  const publish = asking("publish", "channel.proxy.publish", proxy.publish, readPublishAnswer, { repeatable: false });
  const subRefresh = asking("sub_refresh", "channel.proxy.sub_refresh", proxy.subRefresh, readRefreshAnswer);
  const rpc = asking("rpc", "rpc.proxy", proxy.rpc, readRpcAnswer, { repeatable: false });
  const cacheMiss = hooks.cacheMiss.enabled
    ? new CacheMisses(hooks, open("hooks.cache_miss", "cache_miss", hooks.cacheMiss, true))
    : undefined;

  return {
    ...(connect && {
      connect: ({ facts, name, version, data, channels }) =>
        connect.ask(facts, { fields: { name, version, channels }, data }),
    }),
    ...(refresh && { refresh: async (facts) => renewal(await refresh.ask(facts, { fields: {} })) }),
    ...(subscribe && {
      subscribe: ({ facts, channel, token, data }) => subscribe.ask(facts, { fields: { channel, token }, data }),
    }),
    ...(publish && {
      publish: ({ facts, channel, data }) => publish.ask(facts, { fields: { channel }, data }),
    }),
    ...(subRefresh && {
      subRefresh: async (facts, channel) => renewal(await subRefresh.ask(facts, { fields: { channel } })),
    }),
    ...(rpc && { rpc: ({ facts, method, data }) => rpc.ask(facts, { fields: { method }, data }) }),
    ...(cacheMiss && { cacheMissed: (_facts, channel) => cacheMiss.missed(channel) }),
    snapshot: () => Object.fromEntries(Object.entries(endpoints).map(([name, one]) => [name, one.snapshot()])),
    close: () => {
      for (const endpoint of Object.values(endpoints)) endpoint.close();
    },
  };
}

/** An application that is down doesn't end what it allowed before: it is asked again a minute later. */
function renewal(answer: Answer<Renewal>): Answer<Renewal> {
  if (answer.kind !== "error") return answer;
  return { kind: "result", result: { expireAt: Math.floor(Date.now() / 1_000) + GRACE_S } };
}

/** Tells the application of channels without a publication. Clients that miss the same channel share one call. */
class CacheMisses {
  readonly #endpoint: Endpoint;
  readonly #fixed: Record<string, string>;
  readonly #secret: string;
  readonly #underWay = new Map<string, Promise<void>>();

  constructor({ cacheMiss, secret }: ServerConfig["hooks"], endpoint: Endpoint) {
    this.#endpoint = endpoint;
    this.#fixed = fixedHeaders(cacheMiss, "hooks.cache_miss");
    this.#secret = secret;
  }

  missed(channel: string): Promise<void> {
    const shared = this.#underWay.get(channel);
    if (shared !== undefined) return shared;
    const call = this.#tell(channel).finally(() => this.#underWay.delete(channel));
    this.#underWay.set(channel, call);
    return call;
  }

  async #tell(channel: string): Promise<void> {
    const body = hookBody([cacheMissEvent(channel)]);
    const headers = hookHeaders(this.#fixed, this.#secret, body);
    await this.#endpoint.ask({ body, headers }, () => true);
  }
}
