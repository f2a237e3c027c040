/** The meaning of a channel's name: its namespace and options, `$` and `#`. The client's actor and the API use it. */
import { SwitchboardError } from "../../errors.ts";
import type { ChannelOptions, ChannelsConfig } from "./channel-options.ts";

export interface Channel {
  readonly name: string;
  /** Part after the namespace; the whole name of a channel without a namespace. */
  readonly rest: string;
  /** "": none. */
  readonly namespace: string;
  readonly options: ChannelOptions;
  /** True if the name begins with `$`: only a subscription token lets a client in. */
  readonly isPrivate: boolean;
  /** Users after the `#` of a user-limited channel. Undefined: the channel isn't user-limited. */
  readonly users: readonly string[] | undefined;
}

/** Result of looking a channel up. A client gets error 102 for `unknown`, and 107 for `malformed`. */
export type ChannelLookup =
  | { readonly kind: "known"; readonly channel: Channel }
  | { readonly kind: "unknown" }
  | { readonly kind: "malformed" };

/** Options of one namespace, and its regular expression. */
interface Namespace {
  readonly name: string;
  readonly options: ChannelOptions;
  readonly regex: RegExp | undefined;
}

const UNKNOWN: ChannelLookup = Object.freeze({ kind: "unknown" });
const MALFORMED: ChannelLookup = Object.freeze({ kind: "malformed" });

/** Number of known channels that are remembered. */
const MAX_REMEMBERED = 10_000;

/** All channels of a server, by name. */
export class Channels {
  readonly #maxLength: number;
  readonly #withoutNamespace: Namespace;
  readonly #namespaces: ReadonlyMap<string, Namespace>;
  readonly #remembered = new Map<string, ChannelLookup>();

  /** Throws `ERR_OPTION` for a `channelRegex` that isn't one. */
  constructor(config: ChannelsConfig) {
    this.#maxLength = config.maxLength;
    this.#withoutNamespace = compile("", config.withoutNamespace);
    this.#namespaces = new Map(config.namespaces.map((options) => [options.name, compile(options.name, options)]));
  }

  of(name: string): ChannelLookup {
    const remembered = this.#remembered.get(name);
    if (remembered !== undefined) return remembered;
    const found = this.#find(name);
    if (found.kind !== "known") return found;
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(name, found);
    return found;
  }

  #find(name: string): ChannelLookup {
    // A character takes at least one byte: the length of the string is the cheaper check for huge names.
    if (name === "" || name.length > this.#maxLength) return MALFORMED;
    const bytes = Buffer.byteLength(name);
    if (bytes > this.#maxLength) return MALFORMED;
    const isPrivate = name.startsWith("$");
    const from = isPrivate ? 1 : 0;
    const boundary = name.indexOf(":", from);
    const namespace = this.#namespaceOf(boundary === -1 ? "" : name.slice(from, boundary));
    if (namespace === undefined) return UNKNOWN;
    const rest = boundary === -1 ? name : name.slice(boundary + 1);
    const isAscii = bytes === name.length;
    if (!isWellFormed(name, rest, isAscii, namespace.regex)) return MALFORMED;
    const users = namespace.options.allowUserLimitedChannels ? usersOf(name) : undefined;
    const { name: space, options } = namespace;
    return { kind: "known", channel: { name, rest, namespace: space, options, isPrivate, users } };
  }

  /** `:news` has the empty namespace: its options are those of channels without one. */
  #namespaceOf(name: string): Namespace | undefined {
    return name === "" ? this.#withoutNamespace : this.#namespaces.get(name);
  }
}

/**
 * True if the characters of a name are allowed. A regular expression, if there is one, decides alone. Half of a
 * surrogate pair has no UTF-8: two different names would be sent as one.
 */
function isWellFormed(name: string, rest: string, isAscii: boolean, regex: RegExp | undefined): boolean {
  return regex === undefined ? isAscii : name.isWellFormed() && regex.test(rest);
}

/** The users stand after the last `#`, with commas between them. */
function usersOf(name: string): readonly string[] | undefined {
  const boundary = name.lastIndexOf("#");
  return boundary === -1 ? undefined : name.slice(boundary + 1).split(",");
}

function compile(name: string, options: ChannelOptions): Namespace {
  return { name, options, regex: options.channelRegex === "" ? undefined : compileRegex(name, options.channelRegex) };
}

function compileRegex(namespace: string, source: string): RegExp {
  try {
    return new RegExp(source, "u");
  } catch (cause) {
    const where = namespace === "" ? "channels without a namespace" : `the namespace ${JSON.stringify(namespace)}`;
    const regex = JSON.stringify(source);
    throw new SwitchboardError("ERR_OPTION", `channel_regex of ${where}: not a regular expression: ${regex}`, {
      cause,
    });
  }
}
