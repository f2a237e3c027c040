/**
 * The entry `switchboard/centrifuge`: Centrifuge's client protocol as an actor in a program of one's own, beside other
 * actors on other paths of the same board.
 */
export type { ChannelOptions, ChannelsConfig, NamespaceOptions } from "../channels/channel-options.ts";
export type {
  Answer,
  Backend,
  ClientFacts,
  ClientInfo,
  ConnectionGrant,
  ConnectQuestion,
  PublishGrant,
  PublishQuestion,
  Renewal,
  RpcQuestion,
  SubscribeQuestion,
  SubscriptionGrant,
  SubscriptionOverride,
} from "../client/backend.ts";
export { ClientActor } from "../client/client-actor.ts";
export { type ClientReport, ClientServer, type ClientServerOptions } from "../client/client-server.ts";
export type { ClientConfig } from "../config/config.ts";
export { SUBPROTOCOLS } from "../protocol/subprotocols.ts";
export { type ClientServerSettings, clientServer } from "./client-server.ts";
export { type ProtocolOptions, topicsOf } from "./protocol-options.ts";
export { type PublicationOptions, publication } from "./publication.ts";
