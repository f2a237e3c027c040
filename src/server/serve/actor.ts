/** The actor module of `switchboard serve`. */
import { threadId } from "node:worker_threads";
import { Actor } from "../../runtime/actor/actor.ts";
import type { Backend } from "../client/backend.ts";
import { ClientActor } from "../client/client-actor.ts";
import { ClientServer } from "../client/client-server.ts";
import { CLIENT_STATE_VERSION } from "../client/moving/client-state.ts";
import type { EndpointConfig, ServerConfig } from "../config/config.ts";
import { disconnectEvent } from "../hooks/hook-events.ts";
import { httpBackend } from "../hooks/http-backend.ts";
import { ClientWatch } from "./client-watch.ts";
import { Log } from "./log.ts";
import type { ShardReport } from "./server.ts";
import { NUMBERS_QUESTION, type ShardNumbers } from "./shard-numbers.ts";
import { settingsOf } from "./shard-settings.ts";
import { isAdmissionQuestion, UserAdmission } from "./user-admission.ts";

const { config, version } = settingsOf(import.meta.url);

const log = new Log(config.log);
const endpoints = httpBackend(config, { log });
const watch = new ClientWatch(log);

const admission = UserAdmission.isNeeded(config.client)
  ? new UserAdmission(config.client, {
      tell: (user) => Actor.report({ kind: "connecting", user } satisfies ShardReport),
      close: (client, reason) => void server.surveyed({ kind: "disconnect", client, whitelist: [], ...reason }),
    })
  : undefined;

const server = new ClientServer({
  client: config.client,
  channel: config.channel,
  backend: backendOf(config),
  version,
  admission,
  observer: watch,
  tell: (report) => Actor.report({ ...report, thread: threadId } satisfies ShardReport),
});

export default class Client extends ClientActor {
  static override readonly moves = CLIENT_STATE_VERSION;
  static override readonly requestHeaders = headersToKeep(config);
  readonly server = server;
}

/** Answers the control questions of the API, those of `user-limits.ts`, and that for numbers of `client-metrics.ts`. */
export async function surveyed(question: unknown): Promise<unknown> {
  if (isAdmissionQuestion(question)) return admission?.answer(question);
  if ((question as Partial<typeof NUMBERS_QUESTION>).kind !== NUMBERS_QUESTION.kind) return server.surveyed(question);
  const info = (await server.surveyed({ kind: "info" })) as ShardNumbers["info"];
  return { info, refused: [...watch.refusedCounts()], endpoints: endpoints.snapshot() } satisfies ShardNumbers;
}

function backendOf({ hooks }: ServerConfig): Backend {
  if (!hooks.disconnect.enabled) return endpoints;
  return {
    ...endpoints,
    disconnected: (facts, code, reason) =>
      Actor.report({ kind: "disconnected", event: disconnectEvent(hooks.disconnect, facts, code, reason) }),
  };
}

/** The headers that some endpoint of the application gets. */
function headersToKeep({ proxy, hooks }: ServerConfig): readonly string[] {
  const endpoints: readonly EndpointConfig[] = [...Object.values(proxy), hooks.disconnect, hooks.cacheMiss];
  const names = endpoints.filter(({ enabled }) => enabled).flatMap(({ httpHeaders }) => httpHeaders);
  return [...new Set(names.map((name) => name.toLowerCase()))];
}
