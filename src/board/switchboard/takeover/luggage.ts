/**
 * The luggage that goes from board to board in a takeover, beside connections. The old board's `EngineSource`,
 * `StateSource` and `ProgramSource` give it.
 */

export type BoardLuggage =
  /** Name of the marks between what the old process gets of other nodes, and what the new one gets. */
  | { readonly kind: "marks"; readonly mark: string }
  /** Topics of the old process that other nodes may publish to. */
  | { readonly kind: "topics"; readonly topics: readonly string[] }
  /** Ids of nodes in the addresses of connections. */
  | { readonly kind: "nodes"; readonly nodes: readonly string[] }
  /** A piece of what the old process's engine keeps. */
  | { readonly kind: "state"; readonly piece: unknown }
  /** All pieces have been given: the new process's engine answers for both from now on. */
  | { readonly kind: "stateComplete" }
  /** A piece of the bytes of what the main program gives. */
  | { readonly kind: "program"; readonly piece: Uint8Array }
  /** The main program has given all pieces. */
  | { readonly kind: "programComplete" };
