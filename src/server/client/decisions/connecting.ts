/** Decides whether a client may connect: by its token, the application, or the rules for clients without a token. */
import { DISCONNECTS, ERRORS } from "../../protocol/codes.ts";
import type { ConnectRequest } from "../../protocol/messages.ts";
import type { Answer, ClientFacts, ConnectionGrant } from "../backend.ts";
import type { ServerParts } from "../server-parts.ts";
import { because, disconnected, granted, refused, refusedToken } from "./answers.ts";

/** Bytes of a user id at most: presence keeps it with one character before it. */
const MAX_USER_BYTES = 254;

/** Facts are gathered only for an application that asks for them: the address of a client takes a system call. */
interface ConnectingClient {
  facts(): ClientFacts;
}

export async function decideConnection(
  server: ServerParts,
  request: ConnectRequest,
  client: ConnectingClient,
): Promise<Answer<ConnectionGrant>> {
  const answer = await ask(server, request, client);
  if (answer.kind !== "result") return answer;
  const { user, expireAt } = answer.result;
  if (Buffer.byteLength(user) > MAX_USER_BYTES || !user.isWellFormed()) {
    const detail = `the user id has lone surrogates, or more than ${MAX_USER_BYTES} bytes`;
    return because(disconnected(DISCONNECTS.badRequest), "invalid_user", detail);
  }
  if (expireAt !== undefined && expireAt * 1_000 <= Date.now()) return refused(ERRORS.expired);
  return answer;
}

async function ask(
  { config, backend, connectionTokens }: ServerParts,
  { token, name, version, data, subs }: ConnectRequest,
  client: ConnectingClient,
): Promise<Answer<ConnectionGrant>> {
  if (token !== "") {
    const verified = await connectionTokens.verifyConnection(token);
    if (verified.kind !== "valid") return refusedToken(verified, disconnected(DISCONNECTS.invalidToken));
    if (verified.claims.user === "" && config.disallowAnonymousConnectionTokens) {
      return disconnected(DISCONNECTS.permissionDenied);
    }
    return granted(verified.claims);
  }
  if (backend.connect !== undefined) {
    return backend.connect({ facts: client.facts(), name, version, data, channels: Object.keys(subs) });
  }
  if (config.insecure || config.allowAnonymousConnectWithoutToken) return granted({ user: "" });
  return refused(ERRORS.unauthorized);
}
