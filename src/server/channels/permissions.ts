/**
 * Decides whether a client may do something on a channel. The decisions are pure: where one of them says so, the
 * client's actor asks the token or the application. The actor also answers the errors.
 *
 * The order of the checks is that of Centrifugo (centrifugal/centrifugo, internal/client/handler.go).
 */
import { ERRORS } from "../protocol/codes.ts";
import type { ProtocolError } from "../protocol/messages.ts";
import { hasHistory } from "./channel-options.ts";
import type { Channel } from "./channels.ts";

/** The client, as the decisions see it. */
export interface Who {
  /** User id; "" is anonymous. */
  readonly user: string;
  /** True if this client is subscribed to the channel. */
  readonly isSubscribed: boolean;
  /** `client.insecure` of the config: everything is allowed that no earlier check decides. */
  readonly insecure: boolean;
}

export interface Granted {
  readonly kind: "granted";
}

/** `error` is `ERRORS.permissionDenied`, or `ERRORS.notAvailable` for a feature that is off. */
export interface Refused {
  readonly kind: "refused";
  readonly error: ProtocolError;
}

/** The subscription token alone decides. */
export interface AskToken {
  readonly kind: "askToken";
}

/** The application alone decides. If its question isn't implemented, the client gets error 108. */
export interface AskBackend {
  readonly kind: "askBackend";
}

const GRANTED: Granted = Object.freeze({ kind: "granted" });
const ASK_TOKEN: AskToken = Object.freeze({ kind: "askToken" });
const ASK_BACKEND: AskBackend = Object.freeze({ kind: "askBackend" });
const PERMISSION_DENIED: Refused = Object.freeze({ kind: "refused", error: ERRORS.permissionDenied });
const NOT_AVAILABLE: Refused = Object.freeze({ kind: "refused", error: ERRORS.notAvailable });

/** `token` is the one of the request; "" means none. */
export function maySubscribe(channel: Channel, who: Who, token: string): Granted | Refused | AskToken | AskBackend {
  if (token !== "") return ASK_TOKEN;
  if (channel.isPrivate) return PERMISSION_DENIED;
  const byUser = channel.users === undefined ? askOptions(channel, who) : mayByUserList(channel.users, who.user);
  if (byUser !== undefined) return byUser;
  return who.insecure ? GRANTED : PERMISSION_DENIED;
}

/** No option opens a user-limited channel to other users, and the application isn't asked. */
function mayByUserList(users: readonly string[], user: string): Granted | undefined {
  return user !== "" && users.includes(user) ? GRANTED : undefined;
}

function askOptions({ options }: Channel, { user }: Who): Granted | AskBackend | undefined {
  if (options.subscribeProxyEnabled) return ASK_BACKEND;
  const isOpen = options.allowSubscribeForClient && (user !== "" || options.allowSubscribeForAnonymous);
  return isOpen ? GRANTED : undefined;
}

export function mayPublish(channel: Channel, who: Who): Granted | Refused | AskBackend {
  const { options } = channel;
  if (options.publishProxyEnabled) return ASK_BACKEND;
  return mayAccess(who, {
    client: options.allowPublishForClient,
    subscriber: options.allowPublishForSubscriber,
    anonymous: options.allowPublishForAnonymous,
  });
}

export function mayHistory(channel: Channel, who: Who): Granted | Refused {
  return hasHistory(channel.options) ? mayAccessHistory(channel, who) : NOT_AVAILABLE;
}

/** Decides about `presence` and `presence_stats`. */
export function mayPresence(channel: Channel, who: Who): Granted | Refused {
  return channel.options.presence ? mayAccessPresence(channel, who) : NOT_AVAILABLE;
}

/** Decides whether history may be read, if there is any. */
export function mayAccessHistory({ options }: Channel, who: Who): Granted | Refused {
  return mayAccess(who, {
    client: options.allowHistoryForClient,
    subscriber: options.allowHistoryForSubscriber,
    anonymous: options.allowHistoryForAnonymous,
  });
}

/** Decides whether the members of presence may be seen, if there is presence. */
export function mayAccessPresence({ options }: Channel, who: Who): Granted | Refused {
  return mayAccess(who, {
    client: options.allowPresenceForClient,
    subscriber: options.allowPresenceForSubscriber,
    anonymous: options.allowPresenceForAnonymous,
  });
}

interface Access {
  readonly client: boolean;
  readonly subscriber: boolean;
  /** True if the other two count for anonymous clients. Alone it allows nothing. */
  readonly anonymous: boolean;
}

function mayAccess(who: Who, access: Access): Granted | Refused {
  if (who.insecure) return GRANTED;
  if (who.user === "" && !access.anonymous) return PERMISSION_DENIED;
  return access.client || (access.subscriber && who.isSubscribed) ? GRANTED : PERMISSION_DENIED;
}
