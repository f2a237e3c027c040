/** The actor module of `switchboard serve`. */
import { Actor } from "../../runtime/actor/actor.ts";
import { ClientActor } from "../client/client-actor.ts";
import { ClientServer } from "../client/client-server.ts";
import { settingsOf } from "./shard-settings.ts";

const { config, version } = settingsOf(import.meta.url);
const server = new ClientServer({
  client: config.client,
  channel: config.channel,
  version,
  tell: (report) => Actor.report(report),
});

export default class Client extends ClientActor {
  readonly server = server;
}

export const { surveyed } = server;
